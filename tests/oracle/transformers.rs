//! The transformers of the cases: stateless, or with a store that counts their calls.

use std::cell::RefCell;
use std::rc::Rc;

use kstreams::dsl::ValueTransformerWithKey;
use kstreams::error::BoxError;
use kstreams::processor::ProcessingContext;
use streams_state::store::KeyValueStore;

use crate::functions::{Text, clip, s};

/// A step of kind `tableTransformValues`.
pub(crate) struct CaseTransformer {
    name: Option<String>,
    store: Option<Rc<RefCell<KeyValueStore<String, String>>>>,
}

impl CaseTransformer {
    /// One that counts its calls in the store `name`, if there is one.
    pub(crate) fn new(name: Option<String>) -> Self {
        Self { name, store: None }
    }
}

impl ValueTransformerWithKey<Text, String, String> for CaseTransformer {
    fn init(&mut self, context: &mut ProcessingContext<'_>) -> Result<(), BoxError> {
        if let Some(name) = &self.name {
            self.store = Some(context.store_as(name)?);
        }
        Ok(())
    }

    fn transform(
        &mut self,
        context: &mut ProcessingContext<'_>,
        key: &Text,
        value: Option<&String>,
    ) -> Result<Option<String>, BoxError> {
        let Some(store) = &self.store else {
            return Ok(value.map(|value| clip(format!("{}={value}", s(key.as_deref())))));
        };
        let (mut store, calls) = (store.borrow_mut(), "calls".to_owned());
        let count = match store.get(&calls)? {
            Some((count, _)) => count.parse::<i64>()? + 1,
            None => 1,
        };
        let update = context.record_context();
        store.put(&calls, Some(count.to_string()), update.timestamp, update)?;
        Ok(value.map(|value| clip(format!("{value}={count}"))))
    }
}
