use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// `engine.tactic_sources`: the libraries whose kernels a builder tries, as the bit mask that
/// `IBuilderConfig::setTacticSources` takes; in the file a number or `"none"`, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TacticSources(pub u32);

impl<'de> Deserialize<'de> for TacticSources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaskOrNone)
    }
}

struct MaskOrNone;

impl de::Visitor<'_> for MaskOrNone {
    type Value = TacticSources;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bit mask, as 0x1f, or \"none\"")
    }

    fn visit_i64<E: de::Error>(self, mask: i64) -> Result<TacticSources, E> {
        u32::try_from(mask)
            .map(TacticSources)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(mask), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TacticSources, E> {
        match text {
            "none" => Ok(TacticSources(0)),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}
