//! A supplier that several share is one, too.

use std::sync::Arc;

use super::{Admin, ClientError, ClientSupplier, Consumer, ConsumerSettings, Producer, ProducerSettings};

impl<S: ClientSupplier + ?Sized> ClientSupplier for Arc<S> {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        (**self).consumer(settings)
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        (**self).producer(settings)
    }

    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        (**self).admin()
    }

    fn named_admin(
        &self,
        client_id: &str,
        statistics_interval_ms: &str,
    ) -> Result<Box<dyn Admin>, ClientError> {
        (**self).named_admin(client_id, statistics_interval_ms)
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}
