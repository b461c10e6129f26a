//! Administration of what exists: settings and partitions of topics, members of groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;

use super::admin::{Options, ask, pointers, topic_results};
use super::{Failure, Native, name, text};
use crate::client::{GroupMember, TopicSetting};

/// Settings by name, or why they are not known.
type TopicConfig = Result<BTreeMap<String, TopicSetting>, Failure>;

/// Topics whose settings are asked for or changed. Freed when dropped.
struct Resources(Vec<*mut sys::rd_kafka_ConfigResource_t>);

impl Resources {
    fn of<'a>(topics: impl Iterator<Item = &'a str>) -> Self {
        let topic = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: names are copied; the objects are ours.
        Self(topics.map(|it| unsafe { sys::rd_kafka_ConfigResource_new(topic, name(it).as_ptr()) }).collect())
    }
}

impl Drop for Resources {
    fn drop(&mut self) {
        // SAFETY: each is ours, freed once.
        unsafe { sys::rd_kafka_ConfigResource_destroy_array(self.0.as_mut_ptr(), self.0.len()) }
    }
}

impl Native {
    /// All settings of each topic.
    pub(crate) fn describe_configs(
        self: &Arc<Self>,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<(String, TopicConfig)>, Failure> {
        let mut asked = Resources::of(topics.iter().map(String::as_str));
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
        let options = Options::new(self, operation, timeout);
        let event = ask(self, timeout, |answers| {
            let (array, count) = (asked.0.as_mut_ptr(), asked.0.len());
            // SAFETY: `count` living resources, copied by the call.
            unsafe { sys::rd_kafka_DescribeConfigs(self.rk(), array, count, options.0, answers.as_ptr()) }
        })?;
        // SAFETY: resources belong to the event; names, values and errors are copied.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConfigs_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            let topic = |&resource: &*const _| {
                let settings = outcome(resource).map(|()| settings(resource));
                (text(sys::rd_kafka_ConfigResource_name(resource)), settings)
            };
            Ok(pointers(array.cast_const(), count).iter().map(topic).collect())
        }
    }

    /// Sets these settings of a topic, and no others.
    pub(crate) fn alter_configs(
        self: &Arc<Self>,
        topic: &str,
        changes: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let mut resources = Resources::of(std::iter::once(topic));
        let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
        for (key, value) in changes {
            for resource in &resources.0 {
                let (key, value) = (name(key), name(value));
                // SAFETY: a living resource; strings are copied; the error object is ours.
                unsafe {
                    Failure::take(sys::rd_kafka_ConfigResource_add_incremental_config(
                        *resource,
                        key.as_ptr(),
                        set,
                        value.as_ptr(),
                    ))?;
                }
            }
        }
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        let options = Options::new(self, operation, timeout);
        let event = ask(self, timeout, |answers| {
            let (array, count) = (resources.0.as_mut_ptr(), resources.0.len());
            // SAFETY: `count` living resources, copied by the call.
            unsafe {
                sys::rd_kafka_IncrementalAlterConfigs(self.rk(), array, count, options.0, answers.as_ptr());
            }
        })?;
        // SAFETY: resources belong to the event; errors are copied.
        unsafe {
            let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
            pointers(array.cast_const(), count).iter().try_for_each(|&resource| outcome(resource))
        }
    }

    /// Adds partitions to a topic, up to `total`.
    pub(crate) fn create_partitions(
        self: &Arc<Self>,
        topic: &str,
        total: i32,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let mut words = [0; 256];
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS;
        let options = Options::new(self, operation, timeout);
        options.wait_until_done(timeout);
        // SAFETY: the buffer is as long as it is said to be; the request is ours, copied by the call and freed once
        // after it; results belong to the event.
        unsafe {
            let mut request = sys::rd_kafka_NewPartitions_new(
                name(topic).as_ptr(),
                usize::try_from(total).unwrap_or(0),
                words.as_mut_ptr(),
                words.len(),
            );
            if request.is_null() {
                return Err(Failure::new(RDKafkaErrorCode::InvalidArgument, text(words.as_ptr())));
            }
            let event = ask(self, timeout, |answers| {
                sys::rd_kafka_CreatePartitions(self.rk(), &raw mut request, 1, options.0, answers.as_ptr());
            });
            sys::rd_kafka_NewPartitions_destroy(request);
            let event = event?;
            let result = sys::rd_kafka_event_CreatePartitions_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_CreatePartitions_result_topics(result, &raw mut count);
            topic_results(array.cast_const(), count).into_iter().try_for_each(|(_, outcome)| outcome)
        }
    }

    /// Who is in a group.
    pub(crate) fn group_members(
        self: &Arc<Self>,
        group: &str,
        timeout: Duration,
    ) -> Result<Vec<GroupMember>, Failure> {
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let options = Options::new(self, operation, timeout);
        let group = name(group);
        let event = ask(self, timeout, |answers| {
            let mut asked = group.as_ptr();
            // SAFETY: the name lives until the call returns, which copies it.
            unsafe {
                let answers = answers.as_ptr();
                sys::rd_kafka_DescribeConsumerGroups(self.rk(), &raw mut asked, 1, options.0, answers);
            }
        })?;
        // SAFETY: descriptions belong to the event; strings and errors are copied.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            let Some(&group) = pointers(array.cast_const(), count).first() else { return Ok(Vec::new()) };
            let error = sys::rd_kafka_ConsumerGroupDescription_error(group);
            if !error.is_null() {
                let mut failure = Failure::read(error);
                // Not every broker says more than the code.
                if failure.text.trim_end().ends_with(':') {
                    failure.text.push_str(&failure.code.to_string());
                }
                match failure.code {
                    RDKafkaErrorCode::NoError => {}
                    RDKafkaErrorCode::GroupIdNotFound => return Ok(Vec::new()),
                    _ => return Err(failure),
                }
            }
            let members = 0..sys::rd_kafka_ConsumerGroupDescription_member_count(group);
            Ok(members.map(|at| member(sys::rd_kafka_ConsumerGroupDescription_member(group, at))).collect())
        }
    }
}

/// Reads a member of a group.
///
/// # Safety
/// `member` is a living description.
unsafe fn member(member: *const sys::rd_kafka_MemberDescription_t) -> GroupMember {
    // SAFETY: getters of a living description; strings are copied.
    unsafe {
        let instance = sys::rd_kafka_MemberDescription_group_instance_id(member);
        GroupMember {
            id: text(sys::rd_kafka_MemberDescription_consumer_id(member)),
            instance: Some(text(instance)).filter(|instance| !instance.is_empty()),
            client_id: text(sys::rd_kafka_MemberDescription_client_id(member)),
            host: text(sys::rd_kafka_MemberDescription_host(member)),
        }
    }
}

/// What became of the request for a resource.
///
/// # Safety
/// `resource` is a living result.
unsafe fn outcome(resource: *const sys::rd_kafka_ConfigResource_t) -> Result<(), Failure> {
    // SAFETY: getters of a living result; strings are copied.
    unsafe {
        Failure::check(sys::rd_kafka_ConfigResource_error(resource)).map_err(|mut failure| {
            let words = text(sys::rd_kafka_ConfigResource_error_string(resource));
            if !words.is_empty() {
                failure.text = words;
            }
            failure
        })
    }
}

/// Reads the settings of a resource.
///
/// # Safety
/// `resource` is a living result.
unsafe fn settings(resource: *const sys::rd_kafka_ConfigResource_t) -> BTreeMap<String, TopicSetting> {
    let own = sys::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG;
    // SAFETY: entries belong to the resource; strings are copied.
    unsafe {
        let mut count = 0;
        let array = sys::rd_kafka_ConfigResource_configs(resource, &raw mut count);
        let setting = |&entry: &*const _| {
            let value = text(sys::rd_kafka_ConfigEntry_value(entry));
            let own = sys::rd_kafka_ConfigEntry_source(entry) == own;
            (text(sys::rd_kafka_ConfigEntry_name(entry)), TopicSetting { value, own })
        };
        pointers(array.cast_const(), count).iter().map(setting).collect()
    }
}
