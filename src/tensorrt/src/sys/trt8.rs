//! TensorRT 8.2 to 8.6.

use super::slots;

include!(concat!(env!("OUT_DIR"), "/trt8.rs"));
