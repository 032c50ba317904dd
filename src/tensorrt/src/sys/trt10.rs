//! TensorRT 10.0 to 10.16.

use super::slots;

include!(concat!(env!("OUT_DIR"), "/trt10.rs"));
