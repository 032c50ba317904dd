//! The object graph that TensorFlow 2 stores with a checkpoint.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use tfjet_core::AttrValue;

use crate::tensorflow::proto::TrackableObjectGraph;

/// Under which it is stored.
pub(super) const KEY: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";

/// The key of each variable by the name that it has in the graph. A name that several have is left
/// out.
pub(super) fn keys_by_full_name(stored: Option<AttrValue>) -> HashMap<String, String> {
    let Some(AttrValue::StringTensor(_, mut values)) = stored else {
        return HashMap::new();
    };
    let message = Bytes::from(values.pop().unwrap_or_default());
    let graph = TrackableObjectGraph::decode(message).unwrap_or_default();
    let mut keys: HashMap<String, Option<String>> = HashMap::new();
    for tensor in graph.nodes.into_iter().flat_map(|node| node.attributes) {
        if tensor.full_name.is_empty() || tensor.checkpoint_key.is_empty() {
            continue;
        }
        keys.entry(tensor.full_name)
            .and_modify(|key| *key = key.take().filter(|key| *key == tensor.checkpoint_key))
            .or_insert(Some(tensor.checkpoint_key));
    }
    keys.into_iter()
        .filter_map(|(name, key)| Some((name, key?)))
        .collect()
}
