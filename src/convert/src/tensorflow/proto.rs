use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde::de::{Deserialize, Deserializer, Error};

#[allow(
    clippy::all,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub,
    elided_lifetimes_in_paths
)]
pub(super) mod generated {
    include!(concat!(env!("OUT_DIR"), "/tensorflow.rs"));
}

pub(super) use generated::{
    AttrValue, BundleEntryProto, BundleHeaderProto, DataType, FunctionDef, FunctionDefLibrary,
    GraphDef, MetaGraphDef, NodeDef, SavedModel, SavedTensorSliceMeta, SavedTensorSlices, SaverDef,
    SignatureDef, TensorInfo, TensorProto, TensorShapeProto, TensorSliceProto,
    TrackableObjectGraph, VersionDef, attr_value, tensor_shape_proto,
};

static DESCRIPTORS: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
    DescriptorPool::decode(&include_bytes!(concat!(env!("OUT_DIR"), "/graph.bin"))[..])
        .map_err(|error| error.to_string())
});

/// The embedded description of message `M`.
pub(super) fn descriptor<M: Name>() -> Result<MessageDescriptor, String> {
    descriptor_of(&M::full_name())
}

/// The embedded description of the message called `name`.
pub(super) fn descriptor_of(name: &str) -> Result<MessageDescriptor, String> {
    DESCRIPTORS
        .as_ref()
        .map_err(Clone::clone)?
        .get_message_by_name(name)
        .ok_or_else(|| format!("no description of {name}"))
}

/// A message in protobuf's JSON form. An unknown field or enum name is an error.
pub(super) struct Json<M>(pub M);

/// Like [`Json`], but skips unknown fields.
pub(super) struct LenientJson<M>(pub M);

impl<'de, M: Message + Name + Default> Deserialize<'de> for Json<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer, &DeserializeOptions::new()).map(Self)
    }
}

impl<'de, M: Message + Name + Default> Deserialize<'de> for LenientJson<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = DeserializeOptions::new().deny_unknown_fields(false);
        deserialize(deserializer, &options).map(Self)
    }
}

fn deserialize<'de, M, D>(deserializer: D, options: &DeserializeOptions) -> Result<M, D::Error>
where
    M: Message + Name + Default,
    D: Deserializer<'de>,
{
    let descriptor = descriptor::<M>().map_err(D::Error::custom)?;
    DynamicMessage::deserialize_with_options(descriptor, deserializer, options)?
        .transcode_to()
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_described() {
        for found in [
            descriptor::<GraphDef>(),
            descriptor::<NodeDef>(),
            descriptor::<TensorInfo>(),
            descriptor_of("tensorflow.text.SavedModel"),
            descriptor_of("tensorflow.text.MetaGraphDef"),
        ] {
            assert!(found.is_ok(), "{found:?}");
        }
    }
}
