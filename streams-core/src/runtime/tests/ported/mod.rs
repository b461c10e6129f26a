//! Kafka Streams' own tests of reliability, under their names, on the embedded log in virtual time; those marked `conformance` are
//! cases of `tests/conformance/ported_*.rs`, with real threads, on the embedded log and on a real broker.
//!
//! | Kafka Streams | here |
//! |---|---|
//! | `EosIntegrationTest`: copies (7), several transactions, a failing task, with state, a fenced task | `eos`; conformance |
//! | `EosIntegrationTest`: offsets on disk after a close, and after one in a restore | `unclean` |
//! | `EOSUncleanShutdownIntegrationTest`, and that the state survives (KAFKA-20504) | `unclean` |
//! | `StandbyTaskEOSIntegrationTest` (2) | `unclean`: what is on the instance's own disk; there are no standbys |
//! | `StandbyTaskEOSMultiRebalanceIntegrationTest` | `ids`: 63,000 ids, tasks that move, without standbys |
//! | `GlobalKTableEOSIntegrationTest` (6) | `global` |
//! | `RestoreIntegrationTest`: 7 of 8 | `restore` |
//! | `RestoreIntegrationTest.shouldRecycleStateFromStandbyTaskPromotedToActiveTaskAndNotRestore` | none: there are no standbys |
//! | `PurgeRepartitionTopicIntegrationTest` | conformance `should_purge_repartition_topic` (its clock is real); there is no call for the size of a log, so that it is empty at last |
//! | `SmokeTestDriverIntegrationTest` | `smoke` |
//! | `HandlingSourceTopicDeletionIntegrationTest` | conformance |
//! | `StreamsUncaughtExceptionHandlerIntegrationTest`: `SHUTDOWN_CLIENT`, `REPLACE_THREAD`, failover | conformance |
//! | the same: old handler, `SHUTDOWN_APPLICATION` | none: there is no such handler, and no such answer |
//! | `SuppressionDurabilityIntegrationTest`, `JoinGracePeriodDurabilityIntegrationTest` | `durability` |
//! | `HighAvailabilityTaskAssignorIntegrationTest` | none: it is about warm-up replicas; the assignor is the group's `range` |
//! | `AtLeastOnceDeliveryMessageLossIntegrationTest` | `losses`; conformance (librdkafka does not split batches, it does not make them too large) |
//! | `SelfManagedOffsetRecoveryIntegrationTest`: 6 of 8 | `losses`; the other two are about standbys |
//! | `StateUpdaterFailureIntegrationTest` | `losses` |
//! | system: smoke (`streams_smoke_test.py`) | `smoke` |
//! | system: EOS rebalance, failure and recovery, simple and complex (`streams_eos_test.py`) | `system_eos` |
//! | system: broker down, from the start on | none: an instance that finds no broker says so and does not start |
//! | system: broker down, otherwise (3); static membership | `system` |
//! | system: broker bounce | real brokers that are killed: not here |
//! | system: standby | none: there are no standbys |
//! | system: relational smoke | `relational` |
//! | system: shutdown deadlock | conformance `test_shutdown_wont_deadlock` |
//! | system: upgrade, broker compatibility, cooperative rebalance | none: there is one version of this library, one of brokers, one protocol |

mod durability;
mod eos;
mod global;
mod ids;
mod losses;
mod relational;
mod restore;
pub(super) mod scene;
mod smoke;
mod smoke_model;
mod system;
mod system_eos;
mod unclean;
