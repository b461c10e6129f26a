//! A list of partitions with offsets, as librdkafka takes and gives it.

use std::ffi::CStr;
use std::ptr::NonNull;

use rdkafka::bindings as sys;

use super::{Failure, name};

/// An owned list.
pub(crate) struct PartitionList(NonNull<sys::rd_kafka_topic_partition_list_t>);

// SAFETY: plain memory with one owner.
unsafe impl Send for PartitionList {}

/// One element of a list.
pub(crate) struct Entry<'a> {
    /// Topic.
    pub(crate) topic: &'a str,
    /// Partition.
    pub(crate) partition: i32,
    /// Offset, or one of librdkafka's negative meanings.
    pub(crate) offset: i64,
    /// Metadata of a committed offset.
    pub(crate) metadata: &'a [u8],
    /// What failed for this partition.
    pub(crate) failure: Option<Failure>,
}

impl PartitionList {
    /// An empty list with room for `capacity` elements.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let capacity = i32::try_from(capacity).unwrap_or(0);
        // SAFETY: no preconditions. librdkafka aborts when memory is out, so that null cannot come back.
        let list = unsafe { sys::rd_kafka_topic_partition_list_new(capacity) };
        Self(NonNull::new(list).expect("librdkafka aborts when it has no memory"))
    }

    /// Adds a partition.
    pub(crate) fn add(&mut self, topic: &str, partition: i32, offset: i64, metadata: &str) {
        let topic = name(topic);
        // SAFETY: the list is ours. The new element lives until the list changes; its metadata comes from
        // librdkafka's allocator, which frees it with the list, and holds exactly `metadata_size` bytes.
        unsafe {
            let element = sys::rd_kafka_topic_partition_list_add(self.0.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset;
            if !metadata.is_empty() {
                let copy = sys::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len());
                std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast::<u8>(), metadata.len());
                (*element).metadata = copy;
                (*element).metadata_size = metadata.len();
            }
        }
    }

    /// The elements.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        // SAFETY: our list, alive as long as the borrow.
        unsafe { entries(self.0.as_ptr()) }
    }

    /// For calls.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}

/// The elements of a list that somebody else owns; none for null.
///
/// # Safety
/// `list` is null or a list that lives and does not change for `'a`.
pub(super) unsafe fn entries<'a>(
    list: *const sys::rd_kafka_topic_partition_list_t,
) -> impl Iterator<Item = Entry<'a>> {
    // SAFETY: `elems` points to `cnt` initialised elements.
    let elements = unsafe {
        match list.as_ref() {
            Some(list) if list.cnt > 0 => {
                std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        }
    };
    // SAFETY: elements of a list.
    elements.iter().map(|element| unsafe { entry(element) })
}

/// Reads one element.
///
/// # Safety
/// `element` belongs to a living list or was given by librdkafka.
pub(super) unsafe fn entry(element: &sys::rd_kafka_topic_partition_t) -> Entry<'_> {
    // SAFETY: the topic is a NUL-terminated string, metadata points to `metadata_size` bytes or is null; both
    // live as long as the element.
    let (topic, metadata) = unsafe {
        let topic = CStr::from_ptr(element.topic).to_str().unwrap_or_default();
        let metadata = if element.metadata.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size)
        };
        (topic, metadata)
    };
    let failure = Failure::of(element.err);
    Entry { topic, partition: element.partition, offset: element.offset, metadata, failure }
}
