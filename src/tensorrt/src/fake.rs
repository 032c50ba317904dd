//! Objects laid out as TensorRT's, whose methods are functions of a test.

use std::ffi::c_void;

pub(crate) mod network;

use crate::sys::{Api, Family, Logger};
use crate::{Flavor, Version};

/// As many slots as any class has, and more.
const SLOTS: usize = 96;

#[repr(C)]
struct Object {
    vptr: *const [*const c_void; 2],
    implementation: *const Implementation,
    /// A layer's own part.
    own: *const Implementation,
}

#[repr(C)]
struct Implementation {
    vptr: *const [*const c_void; SLOTS],
    /// Which object it is of, for its methods.
    number: usize,
}

/// TensorRT of this version.
pub(crate) fn api(major: u32, minor: u32) -> Api {
    let version = Version {
        flavor: Flavor::TensorRt,
        major,
        minor,
        patch: 0,
    };
    let family = Family::of(version).unwrap();
    Api {
        version,
        family,
        logger: Logger::leak(family, version),
    }
}

/// An object with these methods at these slots; a call of another slot ends the process.
pub(crate) fn object(methods: &[(usize, *const c_void)]) -> *mut c_void {
    layer(methods, &[], 0)
}

/// As [`object`], with the methods of a layer's own part and the number of the object.
fn layer(
    methods: &[(usize, *const c_void)],
    own: &[(usize, *const c_void)],
    number: usize,
) -> *mut c_void {
    let [implementation, own] = [methods, own].map(|methods| {
        let mut vtable = [unexpected as *const c_void; SLOTS];
        for &(slot, code) in methods {
            vtable[slot] = code;
        }
        std::ptr::from_ref(Box::leak(Box::new(Implementation {
            vptr: Box::leak(Box::new(vtable)),
            number,
        })))
    });
    let object = Box::leak(Box::new(Object {
        vptr: Box::leak(Box::new([delete as *const c_void; 2])),
        implementation,
        own,
    }));
    std::ptr::from_mut(object).cast()
}

extern "C" fn delete(_this: *mut c_void) {}

extern "C" fn unexpected(_this: *mut c_void) {
    eprintln!("a slot was called that the test did not expect");
    std::process::abort();
}
