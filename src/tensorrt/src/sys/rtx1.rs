//! TensorRT-RTX 1.7.

use super::slots;

include!(concat!(env!("OUT_DIR"), "/rtx1.rs"));
