//! A network that notes what it is told of precisions and inputs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::rc::Rc;

use super::{Implementation, layer, object};
use crate::sys::{Api, Dims32, Dims64, Handle, Owned, Slot, Slots};
use crate::{Builder, BuilderConfig, Flavor};

/// What a layer and its output were told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// Numbers of `DataType`.
    pub(crate) precision: Option<i32>,
    pub(crate) output: Option<i32>,
    pub(crate) range: Option<(f32, f32)>,
    /// Names of the layers whose outputs are further inputs, by index.
    pub(crate) inputs: BTreeMap<i32, String>,
    pub(crate) axis: Option<i32>,
    /// Number of `BoundingBoxFormat`.
    pub(crate) box_format: Option<i32>,
    /// Elements of the layer's own weights.
    pub(crate) weights: Option<i64>,
}

#[derive(Default)]
struct State {
    api: Option<Api>,
    layers: Vec<Told>,
    outputs: Vec<*mut c_void>,
    /// Numbers of the layers whose output is a shape tensor.
    shapes: Vec<String>,
    flags: Vec<i32>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

type Method = fn(&Slots) -> &Slot;

/// Methods at the slots that the version has them at; those that it lacks are left out.
fn at(api: Api, methods: &[(Method, *const c_void)]) -> Vec<(usize, *const c_void)> {
    let slots = api.family.slots();
    let placed = methods.iter().filter_map(|(method, code)| {
        let index = method(slots).index(api.version).ok()?;
        Some((index, *code))
    });
    placed.collect()
}

fn api() -> Api {
    STATE.with_borrow(|state| state.api).unwrap()
}

/// # Safety
///
/// `this` is the implementation of a fake object.
unsafe fn number(this: *mut c_void) -> usize {
    // SAFETY: the caller's.
    unsafe { (*this.cast::<Implementation>()).number }
}

/// Notes something of the object `this`.
///
/// # Safety
///
/// As [`number`].
unsafe fn note(this: *mut c_void, note: impl FnOnce(&mut Told)) {
    // SAFETY: the caller's.
    let number = unsafe { number(this) };
    STATE.with_borrow_mut(|state| note(&mut state.layers[number]));
}

extern "C" fn ignore(_this: *mut c_void) {}

unsafe extern "C" fn set_name(this: *mut c_void, name: *const c_char) {
    // SAFETY: a C string of the caller.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    // SAFETY: called with a fake layer.
    unsafe { note(this, |told| told.name = name) };
}

unsafe extern "C" fn set_precision(this: *mut c_void, dtype: i32) {
    // SAFETY: called with a fake layer.
    unsafe { note(this, |told| told.precision = Some(dtype)) };
}

unsafe extern "C" fn set_output_type(this: *mut c_void, index: i32, dtype: i32) {
    assert_eq!(index, 0);
    // SAFETY: called with a fake layer.
    unsafe { note(this, |told| told.output = Some(dtype)) };
}

unsafe extern "C" fn set_axis(this: *mut c_void, axis: i32) {
    // SAFETY: called with a fake layer.
    unsafe { note(this, |told| told.axis = Some(axis)) };
}

unsafe extern "C" fn get_output(this: *mut c_void, index: i32) -> *mut c_void {
    assert_eq!(index, 0);
    // SAFETY: called with a fake layer.
    let number = unsafe { number(this) };
    STATE.with_borrow(|state| state.outputs[number])
}

unsafe extern "C" fn set_box_format(this: *mut c_void, format: i32) {
    // SAFETY: called with a fake layer.
    unsafe { note(this, |told| told.box_format = Some(format)) };
}

/// The name of the layer that makes the tensor.
fn maker(tensor: *mut c_void) -> String {
    STATE.with_borrow(|state| {
        let place = state.outputs.iter().position(|other| *other == tensor);
        state.layers[place.unwrap()].name.clone()
    })
}

unsafe extern "C" fn set_input(this: *mut c_void, index: i32, tensor: *mut c_void) {
    let made = maker(tensor);
    // SAFETY: called with a fake layer.
    unsafe { note(this, |told| _ = told.inputs.insert(index, made)) };
}

unsafe extern "C" fn set_dynamic_range(this: *mut c_void, min: f32, max: f32) -> u8 {
    // SAFETY: called with a fake tensor, which has the number of its layer.
    unsafe { note(this, |told| told.range = Some((min, max))) };
    1
}

unsafe extern "C" fn is_shape_tensor(this: *mut c_void) -> u8 {
    // SAFETY: called with a fake tensor.
    let number = unsafe { number(this) };
    STATE.with_borrow(|state| u8::from(state.shapes.contains(&state.layers[number].name)))
}

/// # Safety
///
/// As [`number`].
unsafe fn axes(this: *mut c_void) -> i32 {
    // SAFETY: the caller's.
    let number = unsafe { number(this) };
    let is_matrix = STATE.with_borrow(|state| state.layers[number].name.starts_with(MATRIX));
    if is_matrix { 2 } else { 4 }
}

unsafe extern "C" fn dimensions_32(this: *mut c_void) -> Dims32 {
    Dims32 {
        // SAFETY: called with a fake tensor.
        count: unsafe { axes(this) },
        sizes: [-1; 8],
    }
}

unsafe extern "C" fn dimensions_64(this: *mut c_void) -> Dims64 {
    Dims64 {
        // SAFETY: called with a fake tensor.
        count: unsafe { axes(this) },
        sizes: [-1; 8],
    }
}

/// A tensor, and the layer that makes it, of any class that the tests use.
fn add(weights: Option<i64>) -> *mut c_void {
    let api = api();
    let dimensions = match api.version.major {
        8 => dimensions_32 as *const c_void,
        _ => dimensions_64 as *const c_void,
    };
    let ignore = ignore as *const c_void;
    let number = STATE.with_borrow(|state| state.layers.len());
    let tensor = at(
        api,
        &[
            (|s| &s.tensor.set_name, ignore),
            (|s| &s.tensor.set_type, ignore),
            (|s| &s.tensor.get_dimensions, dimensions),
            (
                |s| &s.tensor.set_dynamic_range,
                set_dynamic_range as *const c_void,
            ),
            (
                |s| &s.tensor.is_shape_tensor,
                is_shape_tensor as *const c_void,
            ),
        ],
    );
    let all = at(
        api,
        &[
            (|s| &s.layer.set_name, set_name as *const c_void),
            (|s| &s.layer.get_output, get_output as *const c_void),
            (|s| &s.layer.set_input, set_input as *const c_void),
            (|s| &s.layer.set_precision, set_precision as *const c_void),
            (
                |s| &s.layer.set_output_type,
                set_output_type as *const c_void,
            ),
        ],
    );
    // The own methods of all these classes but `setAxis`, which comes last, do nothing here.
    let own: Vec<_> = (2..40).map(|slot| (slot, ignore)).collect();
    let tensor = layer(&tensor, &[], number);
    let made = layer(&all, &own, number);
    STATE.with_borrow_mut(|state| {
        state.layers.push(Told {
            weights,
            ..Told::default()
        });
        state.outputs.push(tensor);
    });
    made
}

extern "C" fn add_layer(_this: *mut c_void) -> *mut c_void {
    add(None)
}

/// A layer that quantizes or dequantizes.
extern "C" fn add_scaled(_this: *mut c_void) -> *mut c_void {
    add_with(|s| &s.quantize_layer.set_axis, set_axis as *const c_void)
}

extern "C" fn add_nms(
    _this: *mut c_void,
    boxes: *mut c_void,
    scores: *mut c_void,
    limit: *mut c_void,
) -> *mut c_void {
    let given = (0..).zip([boxes, scores, limit].map(maker));
    let made = add_with(
        |s| &s.nms_layer.set_bounding_box_format,
        set_box_format as *const c_void,
    );
    STATE.with_borrow_mut(|state| state.layers.last_mut().unwrap().inputs = given.collect());
    made
}

/// A layer with one method of its own.
fn add_with(method: Method, code: *const c_void) -> *mut c_void {
    let made = add(None);
    let number = STATE.with_borrow(|state| state.layers.len() - 1);
    let own = layer(&at(api(), &[(method, code)]), &[], number);
    // SAFETY: a fake object, alive for good.
    let from = unsafe { own.cast::<super::Object>().read() };
    // SAFETY: as above, and nobody else has it yet.
    let made_of = unsafe { &mut *made.cast::<super::Object>() };
    made_of.own = from.implementation;
    made
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Weights {
    dtype: i32,
    values: *const c_void,
    count: i64,
}

extern "C" fn add_convolution_32(
    _this: *mut c_void,
    _input: *mut c_void,
    _maps: i32,
    _size: Dims32,
    kernel: Weights,
    _bias: Weights,
) -> *mut c_void {
    add(Some(kernel.count))
}

extern "C" fn add_convolution_64(
    _this: *mut c_void,
    _input: *mut c_void,
    _maps: i64,
    _size: *const Dims64,
    kernel: Weights,
    _bias: Weights,
) -> *mut c_void {
    add(Some(kernel.count))
}

unsafe extern "C" fn add_input(_this: *mut c_void, name: *const c_char) -> *mut c_void {
    add(None);
    // SAFETY: a C string of the caller.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    STATE.with_borrow_mut(|state| {
        state.layers.last_mut().unwrap().name = name;
        *state.outputs.last().unwrap()
    })
}

extern "C" fn create_network(_this: *mut c_void) -> *mut c_void {
    let api = api();
    let (layer, scaled) = (add_layer as *const c_void, add_scaled as *const c_void);
    let convolution = match api.version.major {
        8 => add_convolution_32 as *const c_void,
        _ => add_convolution_64 as *const c_void,
    };
    let ignore = ignore as *const c_void;
    object(&at(
        api,
        &[
            (|s| &s.network_definition.set_name, ignore),
            (|s| &s.network_definition.mark_output, ignore),
            (
                |s| &s.network_definition.add_input,
                add_input as *const c_void,
            ),
            (|s| &s.network_definition.add_convolution_nd, convolution),
            (|s| &s.network_definition.add_deconvolution_nd, convolution),
            (|s| &s.network_definition.add_activation, layer),
            (|s| &s.network_definition.add_cast, layer),
            (|s| &s.network_definition.add_constant, layer),
            (|s| &s.network_definition.add_element_wise, layer),
            (|s| &s.network_definition.add_identity, layer),
            (|s| &s.network_definition.add_matrix_multiply, layer),
            (|s| &s.network_definition.add_shuffle, layer),
            (|s| &s.network_definition.add_nms, add_nms as *const c_void),
            (|s| &s.network_definition.add_quantize, scaled),
            (|s| &s.network_definition.add_dequantize, scaled),
        ],
    ))
}

unsafe extern "C" fn set_flag(_this: *mut c_void, flag: i32) {
    STATE.with_borrow_mut(|state| state.flags.push(flag));
}

/// How the names of layers begin whose output has two axes.
pub(crate) const MATRIX: &str = "matrix";

/// A builder of networks whose tensors are of four axes, but for [`MATRIX`], and whose layers and outputs note what
/// they are told; outputs of the layers in `shapes` say that they are shape tensors.
pub(crate) fn builder(major: u32, minor: u32, shapes: &[&str]) -> Builder {
    let api = super::api(major, minor);
    assert_eq!(api.version.flavor, Flavor::TensorRt);
    STATE.replace(State {
        api: Some(api),
        shapes: shapes.iter().map(|&name| name.to_owned()).collect(),
        ..State::default()
    });
    let methods = at(
        api,
        &[(
            |s| &s.builder.create_network_v2,
            create_network as *const c_void,
        )],
    );
    Builder::of(owned(api, object(&methods)))
}

/// A configuration that notes its flags.
pub(crate) fn config<'p>(major: u32, minor: u32) -> BuilderConfig<'p> {
    let api = super::api(major, minor);
    STATE.replace(State::default());
    let methods = at(
        api,
        &[
            (|s| &s.builder_config.set_flag, set_flag as *const c_void),
            (|s| &s.builder_config.clear_flag, ignore as *const c_void),
        ],
    );
    let [config, builder] = [object(&methods), object(&[])].map(|it| owned(api, it));
    BuilderConfig::new(config, Rc::new(builder))
}

fn owned(api: Api, object: *mut c_void) -> Owned {
    // SAFETY: a fake object, whose deletion does nothing.
    unsafe { Owned::new(Handle::new(api, object).unwrap()) }
}

/// What was told since the builder was made, by the names of layers and inputs.
pub(crate) fn told() -> BTreeMap<String, Told> {
    let layers = STATE.with_borrow(|state| state.layers.clone());
    let named = layers.into_iter().map(|told| (told.name.clone(), told));
    named.collect()
}

/// The flags that were set since the configuration was made.
pub(crate) fn flags() -> Vec<i32> {
    STATE.with_borrow(|state| state.flags.clone())
}
