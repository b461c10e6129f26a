//! What the admin client of an instance measures: `admin-client-metrics`, `admin-client-node-metrics`. All threads share it.

use std::sync::Arc;

use streams_state::types::Timestamp;

use super::network::NetworkSensors;
use super::{Client, ClientScope};
use crate::client::Admin;
use crate::metrics::Metrics;
use crate::metrics::catalogue::clients::admin as specs;
use crate::runtime::figures::EVERY_MS;

/// The sensors of an admin client.
pub(crate) struct AdminSensors {
    _scopes: Vec<ClientScope>,
    network: NetworkSensors,
    shown_at: Option<Timestamp>,
}

impl AdminSensors {
    /// Those of the client that is called `client_id`, from `now` on.
    pub(crate) fn new(metrics: &Arc<Metrics>, client_id: &str, now: Timestamp) -> Self {
        let client = Client::new(metrics, client_id);
        let (own, network) =
            client.scope(specs::GROUP, &[], |scope| NetworkSensors::new(&client, scope, specs::NODE_GROUP));
        let scopes = client.app_info(now).into_iter().chain([own]).collect();
        Self { _scopes: scopes, network, shown_at: None }
    }

    /// It is `now`: shows what `admin` did, if it is time to.
    pub(crate) fn show(&mut self, admin: &mut dyn Admin, now: Timestamp) {
        if self.shown_at.is_none_or(|at| (now - at).abs() >= EVERY_MS) {
            self.shown_at = Some(now);
            if let Some(told) = admin.statistics() {
                self.network.show(&told, now);
            }
        }
    }
}
