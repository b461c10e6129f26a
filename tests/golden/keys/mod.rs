//! `keys.json`: store keys, row values, and what Kafka Streams writes to its internal topics.

// Window and session keys, and bounds of scans.
mod windows;
// Values of rows; versioned rows.
mod rows;
// Joins, table changes, positions.
mod joins;
// Suppress buffers.
mod buffers;

use serde_json::Value;

use crate::tally::{Tally, Verdict};
use crate::vectors::{each, lists, unknown_list};

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match judge_of(name) {
            Some(judge) => each(tally, name, list, judge),
            None if name == "range_bounds" => windows::range_bounds(list, tally),
            None => unknown_list(tally, name),
        }
    }
}

fn judge_of(list: &str) -> Option<fn(&Value) -> Verdict> {
    Some(match list {
        "window_keys" => windows::window_key,
        "session_keys" => windows::session_key,
        "prefix_scan_bounds" => windows::prefix_scan_bound,
        "segment_interval" => windows::segment_interval,
        "value_and_timestamp" => rows::value_and_timestamp,
        "values_same_and_time_increasing" => rows::values_same_and_time_increasing,
        "value_timestamp_headers" => rows::value_timestamp_headers,
        "aggregation_with_headers" => rows::aggregation_with_headers,
        "headers_blob" => rows::headers_blob,
        "changelog_to_store_value" => rows::changelog_to_store_value,
        "versioned_latest_value" => rows::versioned_latest_value,
        "versioned_segment_row" => rows::versioned_segment_row,
        "versioned_segment_interval" => rows::versioned_segment_interval,
        "timestamped_key_and_join_side" => joins::timestamped_key_and_join_side,
        "left_or_right_value" => joins::left_or_right_value,
        "outer_join_value_list" => joins::outer_join_value_list,
        "change_encode" => joins::change_encode,
        "change_decode" => joins::change_decode,
        "fk_subscription_wrapper" => joins::subscription_wrapper,
        "fk_subscription_wrapper_decode" => joins::subscription_wrapper_decode,
        "fk_response_wrapper" => joins::response_wrapper,
        "fk_response_wrapper_decode" => joins::response_wrapper_decode,
        "fk_combined_key" => joins::combined_key,
        "stream_table_grace_buffer_key" => joins::grace_buffer_key,
        "position" => joins::position,
        "record_context" => buffers::record_context,
        "suppress_buffer_value" => buffers::buffer_value,
        "suppress_buffer_changelog_decode" => buffers::changelog_decode,
        _ => return None,
    })
}
