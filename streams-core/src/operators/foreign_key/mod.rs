//! The foreign-key join of two tables (KIP-213): two hops through internal topics, one operator a file.
//!
//! ```text
//! left task                                             foreign task
//! left table ─► SubscriptionSend ══ registration topic ══► SubscriptionReceive ─► SubscriptionJoin ─┐
//!     ▲                                                        │ store of subscriptions            │
//!     │ value now?                                             ▼ prefix scan                        │
//! ResponseJoin ◄══════════ response topic ═══════════════ ForeignTableJoin ◄─ foreign table        │
//!     │                         ▲                                                                   │
//!     ▼                         └───────────────────────────────────────────────────────────────────┘
//! result table
//! ```
//!
//! A subscription says which row (primary key) is interested in which foreign key, and carries the hash of the left
//! value. The answer carries that hash back: if the left row has changed since, the answer is stale and dropped, as
//! a newer one is on its way. So the two hops need no order between them.

mod messages;
// Left side, first half.
mod subscription_send;
// Foreign side.
mod foreign_table_join;
mod subscription_join;
mod subscription_receive;
// Left side, second half.
mod response_join;

pub(crate) use foreign_table_join::ForeignTableJoin;
pub(crate) use messages::{Response, ResponseSerde, Subscription, SubscriptionSerde, SubscriptionStore};
pub(crate) use response_join::{AskAgain, ResponseJoin};
pub(crate) use subscription_join::SubscriptionJoin;
pub(crate) use subscription_receive::SubscriptionReceive;
pub(crate) use subscription_send::SubscriptionSend;
