//! Administration: each request has its own queue, so that the late answer of one is not taken for another's.

use std::ffi::{CString, c_char};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::list::{Entry, entries, entry};
use super::queue::Event;
use super::{Failure, Native, PartitionList, Queue, millis, name, text};
use crate::client::{NewTopic, OffsetSpec};

/// The first or last offset of a partition.
pub(crate) struct ListedOffset {
    /// Topic.
    pub(crate) topic: String,
    /// Partition.
    pub(crate) partition: i32,
    /// Its offset, or why it is not known.
    pub(crate) offset: Result<i64, Failure>,
}

/// How much longer we wait than librdkafka does, so that its answer "timed out" arrives.
const GRACE: Duration = Duration::from_millis(500);

/// How often we look whether the client was refused, and how long other brokers have to take it in.
const LOOK: Duration = Duration::from_millis(100);
const OTHERS: Duration = Duration::from_secs(2);

/// Options of a request. Freed when dropped.
pub(super) struct Options(pub(super) *mut sys::rd_kafka_AdminOptions_t);

impl Options {
    pub(super) fn new(native: &Native, operation: sys::rd_kafka_admin_op_t, timeout: Duration) -> Self {
        let mut words = [0; 256];
        // SAFETY: living client; the object is ours; the buffer is as long as it is said to be. A timeout that is
        // out of range leaves the default.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(native.rk(), operation);
            let _ = sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                millis(timeout).max(1),
                words.as_mut_ptr(),
                words.len(),
            );
            Self(options)
        }
    }

    /// Lets the broker wait until what was asked for is done everywhere.
    pub(super) fn wait_until_done(&self, timeout: Duration) {
        let mut words = [0; 256];
        // SAFETY: our object; the buffer is as long as it is said to be.
        let _ = unsafe {
            sys::rd_kafka_AdminOptions_set_operation_timeout(
                self.0,
                millis(timeout).clamp(1, 60_000),
                words.as_mut_ptr(),
                words.len(),
            )
        };
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

/// Sends a request with `send` and waits for its answer.
pub(super) fn ask(
    native: &Arc<Native>,
    timeout: Duration,
    send: impl FnOnce(&Queue),
) -> Result<Event, Failure> {
    let out_of_queues = || Failure::new(RDKafkaErrorCode::CriticalSystemResource, "no queue");
    let answers = Queue::new(native).ok_or_else(out_of_queues)?;
    send(&answers);
    let (began, patience) = (Instant::now(), timeout + GRACE);
    let event = loop {
        let left = patience.saturating_sub(began.elapsed());
        if let Some(event) = answers.poll(left.min(LOOK)) {
            break event;
        }
        if native.is_turned_away() && began.elapsed() > OTHERS {
            return Err(Failure::new(RDKafkaErrorCode::Authentication, "no broker lets this client in"));
        }
        if left.is_zero() {
            let words = format!("no answer within {timeout:?}");
            return Err(Failure::new(RDKafkaErrorCode::OperationTimedOut, words));
        }
    };
    event.failure().map_or(Ok(event), Err)
}

/// How long a request to a coordinator lives, whenever its caller stops waiting. librdkafka 2.12 ends the process (`eonce->refcnt > 0`)
/// when it finds the coordinator for a request that has timed out meanwhile; an answer that nobody waits for does no harm.
const COORDINATOR_MAX: Duration = Duration::from_secs(3600);

/// The pointers of a C array.
///
/// # Safety
/// `array` is null or points to `count` pointers that live for `'a`.
pub(super) unsafe fn pointers<'a, T>(array: *const *const T, count: usize) -> &'a [*const T] {
    if array.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: by the contract of this function.
    unsafe { std::slice::from_raw_parts(array, count) }
}

/// Topic results in the order of the answer: name and what failed.
///
/// # Safety
/// `array` points to `count` living topic results, or is null.
pub(super) unsafe fn topic_results(
    array: *const *const sys::rd_kafka_topic_result_t,
    count: usize,
) -> Vec<(String, Result<(), Failure>)> {
    // SAFETY: living results; strings are copied.
    unsafe {
        pointers(array, count)
            .iter()
            .map(|&result| {
                let mut outcome = Failure::check(sys::rd_kafka_topic_result_error(result));
                if let Err(failure) = &mut outcome {
                    let words = text(sys::rd_kafka_topic_result_error_string(result));
                    if !words.is_empty() {
                        failure.text = words;
                    }
                }
                (text(sys::rd_kafka_topic_result_name(result)), outcome)
            })
            .collect()
    }
}

/// What a cluster says of a topic.
#[derive(Clone, Copy)]
pub(crate) struct TopicDescription {
    /// Number of partitions.
    pub(crate) partitions: i32,
    /// Replicas of the partition that has most.
    pub(crate) replication_factor: i16,
    /// Its id.
    pub(crate) id: Option<Uuid>,
}

/// Topics, or why they are not known.
pub(super) type TopicDescriptions = Vec<(String, Result<TopicDescription, Failure>)>;

impl Native {
    /// Partitions, replicas and id of each topic.
    pub(crate) fn describe_topics(
        self: &Arc<Self>,
        topics: &[String],
        timeout: Duration,
    ) -> Result<TopicDescriptions, Failure> {
        let names: Vec<CString> = topics.iter().map(|topic| name(topic)).collect();
        let mut addresses: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout);
        let event = ask(self, timeout, |answers| {
            // SAFETY: names live until the call returns, which copies them; the collection is ours, freed once.
            unsafe {
                let collection =
                    sys::rd_kafka_TopicCollection_of_topic_names(addresses.as_mut_ptr(), addresses.len());
                sys::rd_kafka_DescribeTopics(self.rk(), collection, options.0, answers.as_ptr());
                sys::rd_kafka_TopicCollection_destroy(collection);
            }
        })?;
        // SAFETY: descriptions belong to the event; names and errors are copied.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            Ok(pointers(array.cast_const(), count).iter().map(|&topic| description(topic)).collect())
        }
    }

    /// Creates topics; an answer for each.
    pub(crate) fn create_topics(
        self: &Arc<Self>,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<Vec<(String, Result<(), Failure>)>, Failure> {
        let mut requests = NewTopics(Vec::with_capacity(topics.len()));
        for topic in topics {
            requests.add(topic)?;
        }
        let options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
        options.wait_until_done(timeout);
        let event = ask(self, timeout, |answers| {
            let (array, count) = (requests.0.as_mut_ptr(), requests.0.len());
            // SAFETY: `count` living requests, copied by the call.
            unsafe { sys::rd_kafka_CreateTopics(self.rk(), array, count, options.0, answers.as_ptr()) }
        })?;
        // SAFETY: results belong to the event.
        unsafe {
            let result = sys::rd_kafka_event_CreateTopics_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
            Ok(topic_results(array.cast_const(), count))
        }
    }

    /// Deletes topics; an answer for each.
    pub(crate) fn delete_topics(
        self: &Arc<Self>,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<(String, Result<(), Failure>)>, Failure> {
        let options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout);
        options.wait_until_done(timeout);
        // SAFETY: each request is ours, copied by the call and freed once after it; results belong to the event.
        unsafe {
            let mut requests: Vec<_> =
                topics.iter().map(|topic| sys::rd_kafka_DeleteTopic_new(name(topic).as_ptr())).collect();
            let event = ask(self, timeout, |answers| {
                let (array, count) = (requests.as_mut_ptr(), requests.len());
                sys::rd_kafka_DeleteTopics(self.rk(), array, count, options.0, answers.as_ptr());
            });
            sys::rd_kafka_DeleteTopic_destroy_array(requests.as_mut_ptr(), requests.len());
            let event = event?;
            let result = sys::rd_kafka_event_DeleteTopics_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count);
            Ok(topic_results(array.cast_const(), count))
        }
    }

    /// Deletes records before the offsets in the list.
    pub(crate) fn delete_records(
        self: &Arc<Self>,
        before: &PartitionList,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETERECORDS, timeout);
        options.wait_until_done(timeout);
        let event = ask(self, timeout, |answers| {
            // SAFETY: the request copies the list, the call copies the request, which is freed once after it.
            unsafe {
                let mut request = sys::rd_kafka_DeleteRecords_new(before.as_ptr());
                let answers = answers.as_ptr();
                sys::rd_kafka_DeleteRecords(self.rk(), &raw mut request, 1, options.0, answers);
                sys::rd_kafka_DeleteRecords_destroy(request);
            }
        })?;
        // SAFETY: the list belongs to the event.
        unsafe {
            let result = sys::rd_kafka_event_DeleteRecords_result(event.as_ptr());
            let list = sys::rd_kafka_DeleteRecords_result_offsets(result);
            let failed = entries(list).find_map(|entry| {
                entry
                    .failure
                    .map(|failure| Failure { text: format!("{}: {}", entry.topic, failure.text), ..failure })
            });
            failed.map_or(Ok(()), Err)
        }
    }

    /// First or last offsets.
    pub(crate) fn list_offsets(
        self: &Arc<Self>,
        partitions: &[(&str, i32)],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<ListedOffset>, Failure> {
        use sys::rd_kafka_IsolationLevel_t as level;
        use sys::rd_kafka_OffsetSpec_t as place;
        let at_time = matches!(spec, OffsetSpec::AtTime(_));
        let (place, level) = match spec {
            OffsetSpec::Beginning => (
                place::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
                level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            ),
            OffsetSpec::End => {
                (place::RD_KAFKA_OFFSET_SPEC_LATEST as i64, level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED)
            }
            OffsetSpec::Stable => {
                (place::RD_KAFKA_OFFSET_SPEC_LATEST as i64, level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED)
            }
            // The library takes a timestamp where the named places are negative.
            OffsetSpec::AtTime(time) => (time.max(0), level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
        };
        let mut list = PartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add(topic, *partition, place, "");
        }
        let options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
        // SAFETY: our object; the error object is ours.
        unsafe { Failure::take(sys::rd_kafka_AdminOptions_set_isolation_level(options.0, level))? };
        let event = ask(self, timeout, |answers| {
            // SAFETY: living list, copied by the call.
            unsafe { sys::rd_kafka_ListOffsets(self.rk(), list.as_ptr(), options.0, answers.as_ptr()) }
        })?;
        // SAFETY: results belong to the event; their elements are read and copied.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            Ok(pointers(array.cast_const(), count)
                .iter()
                .map(|&info| {
                    let read = entry(&*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info));
                    let offset = match read.failure {
                        Some(failure) => Err(failure),
                        None if at_time && read.offset == -1 => Ok(-1),
                        // A partition whose leader did not answer comes back without offset and without error.
                        None if read.offset < 0 => Err(Failure::new(
                            RDKafkaErrorCode::OperationTimedOut,
                            "its leader did not answer",
                        )),
                        None => Ok(read.offset),
                    };
                    ListedOffset { topic: read.topic.to_owned(), partition: read.partition, offset }
                })
                .collect())
        }
    }

    /// Hands committed offsets of `group` to `keep`, if no open transaction holds any of them: else the failure is
    /// `UnstableOffsetCommit`, and the question may be asked again.
    pub(crate) fn stable_group_offsets(
        self: &Arc<Self>,
        group: &str,
        partitions: &PartitionList,
        timeout: Duration,
        keep: impl FnMut(Entry<'_>),
    ) -> Result<(), Failure> {
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        let options = Options::new(self, operation, COORDINATOR_MAX);
        // SAFETY: our object; the error object is ours.
        unsafe { Failure::take(sys::rd_kafka_AdminOptions_set_require_stable_offsets(options.0, 1))? };
        let event = ask(self, timeout, |answers| {
            let group = name(group);
            // SAFETY: the request copies name and list, the call copies the request, freed once after it.
            unsafe {
                let mut request =
                    sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), partitions.as_ptr());
                let answers = answers.as_ptr();
                sys::rd_kafka_ListConsumerGroupOffsets(self.rk(), &raw mut request, 1, options.0, answers);
                sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            }
        })?;
        // SAFETY: groups and their lists belong to the event.
        unsafe {
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.as_ptr());
            let mut count = 0;
            let array = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
            let Some(&group) = pointers(array.cast_const(), count).first() else {
                return Ok(());
            };
            let error = sys::rd_kafka_group_result_error(group);
            if !error.is_null() {
                return Err(Failure::read(error));
            }
            let offsets = || entries(sys::rd_kafka_group_result_partitions(group));
            if let Some(failure) = offsets().find_map(|entry| entry.failure) {
                return Err(failure);
            }
            offsets().for_each(keep);
            Ok(())
        }
    }
}

/// Reads a topic description.
///
/// # Safety
/// `topic` is a living description.
unsafe fn description(
    topic: *const sys::rd_kafka_TopicDescription_t,
) -> (String, Result<TopicDescription, Failure>) {
    // SAFETY: getters of a living description; error object and id belong to it.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(topic));
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            let failure = Failure::read(error);
            if failure.code != RDKafkaErrorCode::NoError {
                return (name, Err(failure));
            }
        }
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let replicas = pointers(partitions.cast_const(), count).iter().map(|&partition| {
            let mut replicas = 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(partition, &raw mut replicas);
            replicas
        });
        let replication_factor = i16::try_from(replicas.max().unwrap_or(0)).unwrap_or(i16::MAX);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let id = (!id.is_null()).then(|| {
            let high = sys::rd_kafka_Uuid_most_significant_bits(id);
            Uuid::from_u64_pair(high as u64, sys::rd_kafka_Uuid_least_significant_bits(id) as u64)
        });
        // A broker older than 2.8 has no ids and says zero.
        let id = id.filter(|id| !id.is_nil());
        let partitions = i32::try_from(count).unwrap_or(i32::MAX);
        (name, Ok(TopicDescription { partitions, replication_factor, id }))
    }
}

/// Requests to create topics. Freed when dropped.
struct NewTopics(Vec<*mut sys::rd_kafka_NewTopic_t>);

impl NewTopics {
    fn add(&mut self, topic: &NewTopic) -> Result<(), Failure> {
        let mut words = [0; 256];
        // SAFETY: strings are copied; the buffer is as long as it is said to be; the request is ours and put
        // under `self` before anything can fail.
        unsafe {
            let request = sys::rd_kafka_NewTopic_new(
                name(&topic.name).as_ptr(),
                topic.partitions,
                i32::from(topic.replication_factor),
                words.as_mut_ptr(),
                words.len(),
            );
            if request.is_null() {
                let words = format!("{}: {}", topic.name, text(words.as_ptr()));
                return Err(Failure::new(RDKafkaErrorCode::InvalidArgument, words));
            }
            self.0.push(request);
            for (key, value) in &topic.config {
                Failure::check(sys::rd_kafka_NewTopic_set_config(
                    request,
                    name(key).as_ptr(),
                    name(value).as_ptr(),
                ))?;
            }
        }
        Ok(())
    }
}

impl Drop for NewTopics {
    fn drop(&mut self) {
        // SAFETY: each request is ours, freed once.
        unsafe { sys::rd_kafka_NewTopic_destroy_array(self.0.as_mut_ptr(), self.0.len()) }
    }
}
