// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/dashboard/prometheus.hpp>

#include <string>

namespace millrace {

namespace detail {

inline constexpr auto counter_type = metric_type::counter;
inline constexpr auto gauge_type = metric_type::gauge;
inline constexpr auto of_pipeline = metric_scope::pipeline;
inline constexpr auto of_checkpoints = metric_scope::checkpoints;
inline constexpr auto of_storage = metric_scope::storage;
inline constexpr auto of_worker = metric_scope::worker;
inline constexpr auto of_operator = metric_scope::operator_part;
inline constexpr auto own_metric = metric_scope::own;

inline constexpr metric_description metric_table[] = {
    {"millrace_build_info", gauge_type, metric_scope::build, "Always 1; the version is a label."},

    {"millrace_pipeline_running", gauge_type, of_pipeline,
     "1 from the start until the end, else 0."},
    {"millrace_pipeline_stopping", gauge_type, of_pipeline,
     "1 once it was asked to stop: sources have ended, the rest drains."},
    {"millrace_pipeline_failed", gauge_type, of_pipeline, "1 when an error has ended it."},
    {"millrace_pipeline_age_seconds", gauge_type, of_pipeline, "Time since the start."},
    {"millrace_pipeline_restarts_total", counter_type, of_pipeline,
     "Restarts after failures, by the restart policy."},

    {"millrace_worker_busy_seconds_total", counter_type, of_worker,
     "Time the worker spent in operators."},
    {"millrace_worker_idle_seconds_total", counter_type, of_worker,
     "Time the worker was asleep, for want of something to do."},

    {"millrace_operator_records_in_total", counter_type, of_operator, "Records taken in."},
    {"millrace_operator_records_out_total", counter_type, of_operator,
     "Records handed on, to all outputs."},
    {"millrace_operator_batches_in_total", counter_type, of_operator, "Batches taken in."},
    {"millrace_operator_filtered_records_total", counter_type, of_operator,
     "Records dropped because the operator is there to drop them."},
    {"millrace_operator_late_records_total", counter_type, of_operator,
     "Records that came after the watermark had passed what they belong to."},
    {"millrace_operator_dead_letters_total", counter_type, of_operator,
     "Records given up because they could not be processed."},
    {"millrace_operator_watermark_timestamp_seconds", gauge_type, of_operator,
     "Event time up to which everything has come, as Unix time; +Inf at the end, absent before the "
     "first one."},
    {"millrace_operator_watermark_lag_seconds", gauge_type, of_operator,
     "Wall clock less watermark; absent without one and at the end."},
    {"millrace_operator_blocked", gauge_type, of_operator,
     "1 while it takes no more and holds up what feeds it."},
    {"millrace_operator_held_up", gauge_type, of_operator,
     "1 while something behind it takes no more."},
    {"millrace_operator_finished", gauge_type, of_operator,
     "1 once its inputs have ended and nothing is outstanding."},
    {"millrace_operator_busy_seconds_total", counter_type, of_operator,
     "Processor's time spent in it, without what it called."},
    {"millrace_operator_blocked_seconds_total", counter_type, of_operator,
     "Time in which it took no more."},
    {"millrace_operator_held_up_seconds_total", counter_type, of_operator,
     "Time in which something behind it took no more."},
    {"millrace_operator_queue_fill_ratio", gauge_type, of_operator,
     "How full the fullest queue into it is; absent where there is none."},
    {"millrace_operator_state_bytes", gauge_type, of_operator,
     "Memory of its state, as last measured; absent where it is not known."},
    {"millrace_operator_checkpoint_bytes", gauge_type, of_operator,
     "Its part of the last complete checkpoint; absent when it saves nothing."},
    {"millrace_operator_latency_seconds", metric_type::histogram, of_operator,
     "Time from a source to this operator, of one marker per source and 100 ms."},

    {"millrace_checkpoint_completed_total", counter_type, of_checkpoints,
     "Checkpoints that are durable."},
    {"millrace_checkpoint_failed_total", counter_type, of_checkpoints,
     "Checkpoints that could not be stored."},
    {"millrace_checkpoint_last_id", gauge_type, of_checkpoints,
     "Number of the last complete one; absent before it."},
    {"millrace_checkpoint_last_size_bytes", gauge_type, of_checkpoints,
     "Bytes of state in the last complete one; absent before it."},
    {"millrace_checkpoint_last_duration_seconds", gauge_type, of_checkpoints,
     "Time of the last complete one, from its barriers to the disk; absent before it."},
    {"millrace_checkpoint_age_seconds", gauge_type, of_checkpoints,
     "Time since the last complete one, or since the start."},
    {"millrace_checkpoint_under_way_seconds", gauge_type, of_checkpoints,
     "For how long one has been under way; 0 when none is."},
    {"millrace_checkpoint_interval_seconds", gauge_type, of_checkpoints,
     "How often one is to be taken."},

    {"millrace_checkpoint_store_completed_total", counter_type, of_storage,
     "Checkpoints the directory has taken.", "completed"},
    {"millrace_checkpoint_store_failed_total", counter_type, of_storage,
     "Checkpoints that could not be written.", "failed"},
    {"millrace_checkpoint_store_saved_total", counter_type, of_storage,
     "Checkpoints copied to a place of their own.", "saved"},
    {"millrace_checkpoint_store_written_bytes_total", counter_type, of_storage,
     "Bytes written; what has not changed is not written again.", "written_bytes"},
    {"millrace_checkpoint_store_last_id", gauge_type, of_storage,
     "Number of the newest checkpoint in the directory.", "last_id"},
    {"millrace_checkpoint_store_last_size_bytes", gauge_type, of_storage,
     "Bytes of everything the newest one consists of.", "last_bytes"},
    {"millrace_checkpoint_store_last_write_seconds", gauge_type, of_storage,
     "Time it took to write the newest one.", "last_us", 1e-6},

    // Asynchronous calls; with lanes, one series for each.
    {"millrace_operator_calls_total", counter_type, own_metric, "Attempts of calls started.",
     "calls"},
    {"millrace_operator_failures_total", counter_type, own_metric,
     "Attempts (calls, polls) that failed, timeouts included.", "failures"},
    {"millrace_operator_timeouts_total", counter_type, own_metric,
     "Calls that got no answer in time.", "timeouts"},
    {"millrace_operator_refused_total", counter_type, own_metric,
     "Calls not made: circuit breaker open, or too many waiting.", "refused"},
    {"millrace_operator_call_seconds_total", counter_type, own_metric,
     "Total time of answered attempts of calls.", "microseconds", 1e-6},
    {"millrace_operator_in_flight", gauge_type, own_metric,
     "Calls, requests or messages sent and not yet answered.", "in_flight"},
    {"millrace_operator_in_flight_limit", gauge_type, own_metric, "How many may be in flight.",
     "in_flight_limit"},
    {"millrace_operator_waiting", gauge_type, own_metric, "Items that wait for their turn.",
     "waiting"},

    // HTTP clients.
    {"millrace_operator_request_bytes_total", counter_type, own_metric,
     "Bytes of the bodies of HTTP requests, as sent.", "request_bytes"},
    {"millrace_operator_response_bytes_total", counter_type, own_metric,
     "Bytes of the bodies of HTTP responses, decompressed.", "response_bytes"},

    // Event time.
    {"millrace_operator_quarantined_total", counter_type, own_metric,
     "Records whose times lie too far in the future to be believed.", "quarantined"},
    {"millrace_operator_partitions_ignored_total", counter_type, own_metric,
     "Parts of a stream that have no say in its watermark, because there are too many.",
     "partitions_ignored"},

    // Look-ups through a cache.
    {"millrace_operator_cache_hits_total", counter_type, own_metric,
     "Look-ups answered from the cache.", "cache_hits"},
    {"millrace_operator_cache_misses_total", counter_type, own_metric,
     "Look-ups that the cache could not answer.", "cache_misses"},
    {"millrace_operator_cache_evictions_total", counter_type, own_metric,
     "Entries that left the cache to make room.", "cache_evictions"},
    {"millrace_operator_lookups_shared_total", counter_type, own_metric,
     "Look-ups that waited for one of the same key under way.", "lookups_shared"},

    // Duplicates.
    {"millrace_operator_ids_not_remembered_total", counter_type, own_metric,
     "Records whose ids could not be kept, because there are too many: duplicates may pass.",
     "ids_not_remembered"},

    // Connectors.
    {"millrace_operator_connected", gauge_type, own_metric, "1 while connected.", "connected"},
    {"millrace_operator_connects_total", counter_type, own_metric,
     "Connections made; what is above one are reconnects.", "connects"},
    {"millrace_operator_connection_failures_total", counter_type, own_metric,
     "Connections that could not be made, or broke.", "connection_failures"},
    {"millrace_operator_received_total", counter_type, own_metric, "Messages received.",
     "received"},
    {"millrace_operator_redelivered_total", counter_type, own_metric,
     "Messages received that the peer marked as sent before.", "redelivered"},
    {"millrace_operator_recognised_total", counter_type, own_metric,
     "Messages sent again that a checkpoint had seen, and that were therefore left out.",
     "recognised"},
    {"millrace_operator_retained_skipped_total", counter_type, own_metric,
     "Retained messages left out.", "retained_skipped"},
    {"millrace_operator_copied_total", counter_type, own_metric,
     "Messages copied, because they lay in two blocks of memory.", "copied"},
    {"millrace_operator_unacknowledged", gauge_type, own_metric,
     "Messages received and not yet acknowledged.", "unacknowledged"},
    {"millrace_operator_published_total", counter_type, own_metric, "Messages sent.", "published"},
    {"millrace_operator_acknowledged_total", counter_type, own_metric,
     "Messages the peer has acknowledged.", "acknowledged"},
    {"millrace_operator_bytes_total", counter_type, own_metric, "Bytes of payload read or written.",
     "bytes"},
    {"millrace_operator_lines_total", counter_type, own_metric, "Lines read.", "lines"},
    {"millrace_operator_records_total", counter_type, own_metric,
     "Records the connector has read or written.", "records"},
    {"millrace_operator_polls_total", counter_type, own_metric, "Times the peer was asked.",
     "polls"},
    {"millrace_operator_unchanged_total", counter_type, own_metric, "Polls that found nothing new.",
     "unchanged"},
    {"millrace_operator_skipped_total", counter_type, own_metric,
     "Polls left out, because the one before was not over.", "skipped"},
    {"millrace_operator_flushes_total", counter_type, own_metric, "Times a file was flushed.",
     "flushes"},
    {"millrace_operator_rotations_total", counter_type, own_metric, "Files begun anew.",
     "rotations"},
    {"millrace_operator_delivered_total", counter_type, own_metric, "Records the peer has taken.",
     "delivered"},
    {"millrace_operator_retries_total", counter_type, own_metric, "Attempts after a failed one.",
     "retries"},
    {"millrace_operator_rejected_total", counter_type, own_metric,
     "Records the peer will not take, ever.", "rejected"},
    {"millrace_operator_already_there_total", counter_type, own_metric,
     "Records the peer had from an earlier attempt.", "already_there"},
    {"millrace_operator_superseded_total", counter_type, own_metric,
     "Records the peer had in a newer version.", "superseded"},
    {"millrace_operator_requests_total", counter_type, own_metric, "Requests sent.", "requests"},
    {"millrace_operator_request_retries_total", counter_type, own_metric,
     "Requests sent again as a whole, by the connector or its HTTP client.", "request_retries"},
    {"millrace_operator_item_retries_total", counter_type, own_metric,
     "Records sent again, because the peer had no room for them.", "item_retries"},
    {"millrace_operator_splits_total", counter_type, own_metric,
     "Requests cut in two, because they were too large.", "splits"},
    {"millrace_operator_pending", gauge_type, own_metric,
     "Records held by the connector and not yet delivered.", "pending"},
    {"millrace_operator_pending_bytes", gauge_type, own_metric,
     "Bytes held by the connector and not yet delivered.", "pending_bytes"},
    {"millrace_operator_transactions_total", counter_type, own_metric,
     "Transactions committed to the database.", "transactions"},
    {"millrace_operator_failing", gauge_type, own_metric,
     "1 from a failed call to the peer to the next that works.", "failing"},

    // A journal in front of a source.
    {"millrace_operator_journal_appended_total", counter_type, own_metric,
     "Records taken into the journal.", "journal_appended"},
    {"millrace_operator_journal_appended_bytes_total", counter_type, own_metric, "Their bytes.",
     "journal_appended_bytes"},
    {"millrace_operator_journal_commits_total", counter_type, own_metric,
     "Groups of records made durable.", "journal_commits"},
    {"millrace_operator_journal_refused_total", counter_type, own_metric,
     "Records not taken: no room on the disk, or too much waits.", "journal_refused"},
    {"millrace_operator_journal_retries_total", counter_type, own_metric,
     "Groups written again, because there was no room before.", "journal_retries"},
    {"millrace_operator_journal_segments_made_total", counter_type, own_metric, "Files begun.",
     "journal_segments_made"},
    {"millrace_operator_journal_segments_removed_total", counter_type, own_metric,
     "Files that retention has removed.", "journal_segments_removed"},
    {"millrace_operator_journal_pending_bytes", gauge_type, own_metric,
     "Bytes taken and not yet durable.", "journal_pending_bytes"},
    {"millrace_operator_journal_durable_end", gauge_type, own_metric,
     "Offset of the first record that is not durable.", "journal_durable_end"},
    {"millrace_operator_journal_bytes", gauge_type, own_metric, "Bytes of all its files.",
     "journal_bytes"},
    {"millrace_operator_journal_last_commit_seconds", gauge_type, own_metric,
     "Time the last group took to become durable.", "journal_last_commit_us", 1e-6},
    {"millrace_operator_journal_most_commit_seconds", gauge_type, own_metric,
     "The longest time a group has taken.", "journal_most_commit_us", 1e-6},
    {"millrace_operator_journal_behind", gauge_type, own_metric,
     "Records in the journal that have not been read from it.", "journal_behind"},
    {"millrace_operator_lost_total", counter_type, own_metric,
     "Records of a journal that could not be read, because they were damaged or removed.", "lost"},
    {"millrace_operator_journal_status", gauge_type, own_metric,
     "0: open, 1: the disk is full, 2: failed, 3: closed.", "journal_status"},
};

MILLRACE_DECL std::string_view metric_scope_title(metric_scope scope) noexcept {
  switch (scope) {
    case metric_scope::build: return "The library: label `version`";
    case metric_scope::pipeline: return "Of a pipeline: label `pipeline`";
    case metric_scope::checkpoints: return "Of the checkpoints of a pipeline: label `pipeline`";
    case metric_scope::storage: return "Of the directory in which they are kept: label `pipeline`";
    case metric_scope::worker: return "Of a worker: labels `pipeline`, `worker`";
    case metric_scope::operator_part:
      return "Of an operator: labels `pipeline`, `operator`, `worker`";
    case metric_scope::own:
      return "Of some operators and connectors: the same labels, and `lane` for calls to several "
             "peers";
  }
  return "";
}

}  // namespace detail

MILLRACE_DECL std::span<const metric_description> metric_descriptions() noexcept {
  return detail::metric_table;
}

MILLRACE_DECL std::string metrics_documentation() {
  std::string out =
      "# Metrics\n\n"
      "Every metric that `GET /metrics` of the dashboard, or `to_prometheus`, can show. This page "
      "is\nwritten from the table in `include/millrace/dashboard/impl/metric_table.ipp`; a test "
      "compares them.\n\n"
      "Counters begin at zero when the pipeline starts. The operators called `NAME.send` and "
      "`NAME.receive`\nare the two ends of the queues between workers that lead into `NAME`. "
      "What an operator of your own\ncounts as `hits` through `context.metrics()` is "
      "`millrace_custom_hits_total`; a gauge has no `_total`.\n";
  const metric_description* before = nullptr;
  for (const auto& each : metric_descriptions()) {
    if (before == nullptr || before->scope != each.scope) {
      out.append("\n## ").append(detail::metric_scope_title(each.scope)).append("\n\n");
      out += !each.own.empty() ? "| Metric | Type | Registered as | Meaning |\n"
                                 "|---|---|---|---|\n"
                               : "| Metric | Type | Meaning |\n|---|---|---|\n";
    }
    before = &each;
    out.append("| `").append(each.name).append("` | ");
    out.append(to_string(each.type)).append(" | ");
    if (!each.own.empty()) out.append("`").append(each.own).append("` | ");
    out.append(each.help).append(" |\n");
  }
  return out;
}

}  // namespace millrace
