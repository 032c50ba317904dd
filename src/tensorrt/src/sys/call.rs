//! How arguments and results of the library's virtual methods are passed.
//!
//! C++ classes of the library that pass by value are trivially copyable, so they follow the rules
//! of C structs, which `extern "C"` gives. Every type has a letter by which a call is checked
//! against the method's signature in the generated table:
//!
//! `v` nothing, `b` bool, `i` 32 bits, `l` 64 bits, `f` float, `p` a pointer or reference, `D`
//! `Dims` by value, `R` `Dims` by reference, `W` `Weights`; `d`, `H`, `I` and `T` are types that
//! no call of ours uses.

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::transmute;

use super::dims::{ByReference, Count, Dims, Dims32, Dims64, Permutation, Weights};
use super::object::Handle;
use super::{Family, Slot};

/// A value that a method of the library takes.
pub(crate) trait Argument: Copy {
    /// As TensorRT 8 takes it.
    type Trt8;
    /// As TensorRT 10 and TensorRT-RTX take it.
    type Trt10;
    /// The letters of both.
    const CODES: (u8, u8);

    fn trt8(self) -> Self::Trt8;
    fn trt10(self) -> Self::Trt10;
}

/// A value that a method of the library returns.
pub(crate) trait Return: Sized {
    /// As TensorRT 8 returns it.
    type Trt8;
    /// As TensorRT 10 and TensorRT-RTX return it.
    type Trt10;
    /// The letter of both.
    const CODE: u8;

    /// # Safety
    ///
    /// `value` was just returned by a method of that result.
    unsafe fn from_trt8(value: Self::Trt8) -> Self;
    /// # Safety
    ///
    /// `value` was just returned by a method of that result.
    unsafe fn from_trt10(value: Self::Trt10) -> Self;
}

/// The arguments of one call: a tuple.
pub(crate) trait Arguments {
    /// Do the arguments and the result `R` fit the method's signature?
    fn fit<R: Return>(&self, family: Family, slot: &Slot) -> bool;

    /// Calls `code` with `this` and the arguments.
    ///
    /// # Safety
    ///
    /// `code` is a method of `this` whose signature [`Arguments::fit`] accepted, and `this` and
    /// what the arguments point to are what the method demands.
    unsafe fn invoke<R: Return>(self, family: Family, code: *const c_void, this: *mut c_void) -> R;
}

macro_rules! same_argument {
    ($($type:ty, $code:literal;)*) => {$(
        impl Argument for $type {
            type Trt8 = $type;
            type Trt10 = $type;
            const CODES: (u8, u8) = ($code, $code);
            fn trt8(self) -> Self { self }
            fn trt10(self) -> Self { self }
        }
    )*};
}

same_argument! {
    i32, b'i';
    u32, b'i';
    i64, b'l';
    usize, b'l';
    f32, b'f';
    bool, b'b';
    *const c_void, b'p';
    *mut c_void, b'p';
    *const *mut c_void, b'p';
    *const c_char, b'p';
}

impl Argument for Weights<'_> {
    type Trt8 = Self;
    type Trt10 = Self;
    const CODES: (u8, u8) = (b'W', b'W');
    fn trt8(self) -> Self {
        self
    }
    fn trt10(self) -> Self {
        self
    }
}

impl Argument for &CStr {
    type Trt8 = *const c_char;
    type Trt10 = *const c_char;
    const CODES: (u8, u8) = (b'p', b'p');
    fn trt8(self) -> *const c_char {
        self.as_ptr()
    }
    fn trt10(self) -> *const c_char {
        self.as_ptr()
    }
}

impl Argument for &CString {
    type Trt8 = *const c_char;
    type Trt10 = *const c_char;
    const CODES: (u8, u8) = (b'p', b'p');
    fn trt8(self) -> *const c_char {
        self.as_ptr()
    }
    fn trt10(self) -> *const c_char {
        self.as_ptr()
    }
}

impl Argument for Handle {
    type Trt8 = *mut c_void;
    type Trt10 = *mut c_void;
    const CODES: (u8, u8) = (b'p', b'p');
    fn trt8(self) -> *mut c_void {
        self.as_ptr()
    }
    fn trt10(self) -> *mut c_void {
        self.as_ptr()
    }
}

impl<'a> Argument for &'a Permutation {
    type Trt8 = &'a Permutation;
    type Trt10 = &'a Permutation;
    const CODES: (u8, u8) = (b'p', b'p');
    fn trt8(self) -> Self {
        self
    }
    fn trt10(self) -> Self {
        self
    }
}

impl<'a> Argument for &'a Dims {
    type Trt8 = Dims32;
    type Trt10 = &'a Dims64;
    const CODES: (u8, u8) = (b'D', b'R');
    fn trt8(self) -> Dims32 {
        self.narrow
    }
    fn trt10(self) -> &'a Dims64 {
        &self.wide
    }
}

impl<'a> Argument for ByReference<'a> {
    type Trt8 = &'a Dims32;
    type Trt10 = &'a Dims64;
    const CODES: (u8, u8) = (b'R', b'R');
    fn trt8(self) -> &'a Dims32 {
        &self.0.narrow
    }
    fn trt10(self) -> &'a Dims64 {
        &self.0.wide
    }
}

impl Argument for Count {
    type Trt8 = i32;
    type Trt10 = i64;
    const CODES: (u8, u8) = (b'i', b'l');
    fn trt8(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
    fn trt10(self) -> i64 {
        self.0
    }
}

macro_rules! same_return {
    ($($type:ty, $code:literal;)*) => {$(
        impl Return for $type {
            type Trt8 = $type;
            type Trt10 = $type;
            const CODE: u8 = $code;
            unsafe fn from_trt8(value: $type) -> Self { value }
            unsafe fn from_trt10(value: $type) -> Self { value }
        }
    )*};
}

same_return! {
    (), b'v';
    i32, b'i';
    i64, b'l';
    usize, b'l';
    *mut c_void, b'p';
}

/// Only the lowest byte of a C++ `bool` is defined.
impl Return for bool {
    type Trt8 = u8;
    type Trt10 = u8;
    const CODE: u8 = b'b';
    unsafe fn from_trt8(value: u8) -> Self {
        value != 0
    }
    unsafe fn from_trt10(value: u8) -> Self {
        value != 0
    }
}

/// A C string, copied; `None` for a null pointer.
impl Return for Option<CString> {
    type Trt8 = *const c_char;
    type Trt10 = *const c_char;
    const CODE: u8 = b'p';
    unsafe fn from_trt8(value: *const c_char) -> Self {
        // SAFETY: as below.
        unsafe { Self::from_trt10(value) }
    }
    unsafe fn from_trt10(value: *const c_char) -> Self {
        if value.is_null() {
            return None;
        }
        // SAFETY: the library's methods that return `const char*` return a null pointer or a
        // C string that lives at least until the object's next call.
        Some(unsafe { CStr::from_ptr(value) }.to_owned())
    }
}

/// `Dims` by value; `None` where the library says that there are none (a negative rank).
impl Return for Option<Vec<i64>> {
    type Trt8 = Dims32;
    type Trt10 = Dims64;
    const CODE: u8 = b'D';
    unsafe fn from_trt8(value: Dims32) -> Self {
        let count = usize::try_from(value.count).ok()?;
        let sizes = value.sizes.get(..count)?;
        Some(sizes.iter().copied().map(i64::from).collect())
    }
    unsafe fn from_trt10(value: Dims64) -> Self {
        let count = usize::try_from(value.count).ok()?;
        Some(value.sizes.get(..count)?.to_vec())
    }
}

macro_rules! arguments {
    ($($type:ident $name:ident),*) => {
        impl<$($type: Argument),*> Arguments for ($($type,)*) {
            fn fit<R: Return>(&self, family: Family, slot: &Slot) -> bool {
                let codes: &[(u8, u8)] = &[$($type::CODES),*];
                let ours = codes.iter().map(|&(trt8, trt10)| match family {
                    Family::Trt8 => trt8,
                    Family::Trt10 | Family::Rtx1 => trt10,
                });
                slot.signature.iter().copied().eq(std::iter::once(R::CODE).chain(ours))
            }

            unsafe fn invoke<R: Return>(
                self,
                family: Family,
                code: *const c_void,
                this: *mut c_void,
            ) -> R {
                let ($($name,)*) = self;
                match family {
                    Family::Trt8 => {
                        type Method<R, $($type),*> = unsafe extern "C" fn(
                            *mut c_void, $(<$type as Argument>::Trt8),*
                        ) -> <R as Return>::Trt8;
                        // SAFETY: the caller says that `code` is a method of this signature.
                        let method: Method<R, $($type),*> = unsafe { transmute(code) };
                        // SAFETY: the caller vouches for `this` and the arguments.
                        let value = unsafe { method(this, $($name.trt8()),*) };
                        // SAFETY: the method has just returned it.
                        unsafe { R::from_trt8(value) }
                    }
                    Family::Trt10 | Family::Rtx1 => {
                        type Method<R, $($type),*> = unsafe extern "C" fn(
                            *mut c_void, $(<$type as Argument>::Trt10),*
                        ) -> <R as Return>::Trt10;
                        // SAFETY: the caller says that `code` is a method of this signature.
                        let method: Method<R, $($type),*> = unsafe { transmute(code) };
                        // SAFETY: the caller vouches for `this` and the arguments.
                        let value = unsafe { method(this, $($name.trt10()),*) };
                        // SAFETY: the method has just returned it.
                        unsafe { R::from_trt10(value) }
                    }
                }
            }
        }
    };
}

arguments!();
arguments!(A a);
arguments!(A a, B b);
arguments!(A a, B b, C c);
arguments!(A a, B b, C c, D d);
arguments!(A a, B b, C c, D d, E e);
arguments!(A a, B b, C c, D d, E e, F f);
