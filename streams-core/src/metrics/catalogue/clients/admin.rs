//! What the admin client does: nothing that is not of the network.

/// Group of the admin client.
pub(crate) const GROUP: &str = "admin-client-metrics";

/// Group of the nodes that it speaks to.
pub(crate) const NODE_GROUP: &str = "admin-client-node-metrics";
