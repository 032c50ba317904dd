//! TensorFlow models on NVIDIA Jetson boards, without TensorFlow.
#![forbid(unsafe_code)]
