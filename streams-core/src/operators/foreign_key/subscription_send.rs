//! Left side: each change of the left table becomes subscriptions, sent to where the foreign row lives.
//!
//! Takes changes, gives records of the registration topic: key the foreign key, value a [`Subscription`]. It keeps
//! nothing: the old foreign key comes with the change. An update that came out of order to a versioned table is
//! dropped and counted.

use std::sync::Arc;

use streams_state::format::murmur3::{Hash128, hash128};
use streams_state::format::subscription_wrapper::Instruction;
use streams_state::serdes::{SerdeError, SerdeRef};
use streams_state::types::Change;

use super::Subscription;
use crate::error::{BoxError, NodeResult};
use crate::operators::NullCheck;
use crate::processor::{DropReason, Outputs, Push, TaskContext};
use crate::record::Record;

/// Sends subscriptions for a left table of `K, V` to a foreign table keyed by `KO`.
pub(crate) struct SubscriptionSend<K, V, KO, F> {
    pub(crate) name: Arc<str>,
    /// The foreign key of a row, if it has one.
    pub(crate) foreign_key: Arc<F>,
    pub(crate) foreign_keys: SerdeRef<KO>,
    pub(crate) foreign_null: NullCheck<KO>,
    pub(crate) values: SerdeRef<V>,
    /// The left table is versioned: what came out of order has not changed the row of today.
    pub(crate) versioned: bool,
    /// A left join answers every change; an inner join only those that may change the result.
    pub(crate) left: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) outputs: Outputs<Option<KO>, Subscription<K>>,
}

/// One message to the foreign side.
type Message<KO> = Option<(Option<KO>, Instruction)>;

/// What a left join sends. The old subscription is taken back if the key changed, without an answer: that to the new one will
/// do. Every change gets a new subscription, also under no foreign key: it is not kept, but answered.
fn left_messages<KO>(old: Option<KO>, new: Option<KO>, changed: bool) -> [Message<KO>; 2] {
    let leave = old.filter(|_| changed).map(|old| (Some(old), Instruction::DeleteKeyNoPropagate));
    [leave, Some((new, Instruction::PropagateNullIfNoFkValAvailable))]
}

/// What an inner join sends. Without a new foreign key the result goes, if there may be one. With another foreign key
/// the old subscription is taken back without an answer, as the answer to the new one replaces the result; with the
/// same one (or a first one) a missing foreign row means that there is no result to delete.
fn inner_messages<KO>(old: Option<KO>, new: Option<KO>, changed: bool) -> [Message<KO>; 2] {
    match (old, new) {
        (None, None) => [None, None],
        (Some(old), None) => [None, Some((Some(old), Instruction::DeleteKeyAndPropagate))],
        (Some(old), Some(new)) if changed => [
            Some((Some(old), Instruction::DeleteKeyNoPropagate)),
            Some((Some(new), Instruction::PropagateNullIfNoFkValAvailable)),
        ],
        (_, Some(new)) => [None, Some((Some(new), Instruction::PropagateOnlyIfFkValAvailable))],
    }
}

impl<K, V, KO, F> SubscriptionSend<K, V, KO, F>
where
    V: 'static,
    KO: 'static,
    F: Fn(&K, &V) -> Result<Option<KO>, BoxError>,
{
    fn foreign_key(&self, key: &K, value: Option<&V>) -> Result<Option<KO>, BoxError> {
        let foreign_key = value.map_or(Ok(None), |value| (self.foreign_key)(key, value))?;
        Ok(foreign_key.filter(|foreign_key| !self.foreign_null.is_null(foreign_key)))
    }

    /// Whether the bytes of the two keys differ: that is what decides about the place of the subscription.
    fn changed(&mut self, old: &Option<KO>, new: &Option<KO>) -> Result<bool, SerdeError> {
        let (Some(old), Some(new)) = (old, new) else { return Ok(old.is_some() || new.is_some()) };
        self.bytes.clear();
        self.foreign_keys.serialize(old, &mut self.bytes)?;
        let end = self.bytes.len();
        self.foreign_keys.serialize(new, &mut self.bytes)?;
        let (old, new) = self.bytes.split_at(end);
        Ok(old != new)
    }

    fn hash(&mut self, value: Option<&V>) -> Result<Option<Hash128>, SerdeError> {
        let Some(value) = value else { return Ok(None) };
        self.bytes.clear();
        let present = self.values.serialize(value, &mut self.bytes)?;
        Ok(present.then(|| hash128(&self.bytes)))
    }
}

impl<K, V, KO, F> Push<K, Change<V>> for SubscriptionSend<K, V, KO, F>
where
    K: Clone + 'static,
    V: 'static,
    KO: 'static,
    F: Fn(&K, &V) -> Result<Option<KO>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let Record { key, value: change, timestamp, headers } = record;
        if self.versioned && !change.is_latest {
            context.drop_record(&self.name, DropReason::Late);
            return Ok(());
        }
        if change.old.is_none() && change.new.is_none() {
            return Ok(());
        }
        let failed = |error| context.user_error(&self.name, error);
        let old = self.foreign_key(&key, change.old.as_ref()).map_err(failed)?;
        let new = self.foreign_key(&key, change.new.as_ref()).map_err(failed)?;
        if !self.left && change.new.is_some() && new.is_none() {
            context.drop_record(&self.name, DropReason::NullForeignKey);
        }
        let changed = match self.changed(&old, &new) {
            Ok(changed) => changed,
            Err(error) => return context.processing_failed(&self.name, error.into()),
        };
        let messages =
            if self.left { left_messages(old, new, changed) } else { inner_messages(old, new, changed) };
        let hash = match self.hash(change.new.as_ref()) {
            Ok(hash) => hash,
            Err(error) => return context.processing_failed(&self.name, error.into()),
        };
        for (foreign_key, instruction) in messages.into_iter().flatten() {
            let primary_partition = Some(context.task.partition);
            let value = Subscription { hash, instruction, primary_key: key.clone(), primary_partition };
            let record = Record { key: foreign_key, value, timestamp, headers: headers.clone() };
            self.outputs.forward(context, record)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Instruction::*;
    use super::*;

    /// The messages for each kind of change, as in Kafka Streams' `SubscriptionSendProcessorSupplier`.
    #[test]
    fn messages_by_kind_of_change() {
        let (a, b) = (Some("a"), Some("b"));
        let null_if_none = PropagateNullIfNoFkValAvailable;
        assert_eq!(left_messages(None, a, true), [None, Some((a, null_if_none))]);
        assert_eq!(left_messages(a, a, false), [None, Some((a, null_if_none))]);
        assert_eq!(left_messages(a, b, true), [Some((a, DeleteKeyNoPropagate)), Some((b, null_if_none))]);
        assert_eq!(
            left_messages(a, None, true),
            [Some((a, DeleteKeyNoPropagate)), Some((None, null_if_none))]
        );
        assert_eq!(left_messages::<&str>(None, None, false), [None, Some((None, null_if_none))]);

        let only_if_some = PropagateOnlyIfFkValAvailable;
        assert_eq!(inner_messages(None, a, true), [None, Some((a, only_if_some))]);
        assert_eq!(inner_messages(a, a, false), [None, Some((a, only_if_some))]);
        assert_eq!(inner_messages(a, b, true), [Some((a, DeleteKeyNoPropagate)), Some((b, null_if_none))]);
        assert_eq!(inner_messages(a, None, true), [None, Some((a, DeleteKeyAndPropagate))]);
        assert_eq!(inner_messages::<&str>(None, None, false), [None, None]);
    }
}
