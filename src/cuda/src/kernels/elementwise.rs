//! Kernels that make each element of the result from one element of each input.

use super::launch::{Program, Source, check, expect_shape, refuse_types, source};
use super::{DeviceTensor, ElementType, KernelError, Kernels, Walk};
use crate::{KernelArgument, Scope};

pub(super) static BINARY: Source = source!("binary");
pub(super) static UNARY: Source = source!("unary");
pub(super) static CAST: Source = source!("cast");
pub(super) static SELECT: Source = source!("select");

/// An enum of operations, each with its name in the source and its meaning.
macro_rules! operations {
    ($(#[$meta:meta])* $name:ident { $($variant:ident => $function:literal: $doc:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = $doc] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(super) fn function(self) -> &'static str {
                match self {
                    $(Self::$variant => $function,)*
                }
            }
        }
    };
}

operations! {
    /// A function of two elements.
    BinaryOp {
        Add => "add": "TensorFlow's `AddV2`; integers wrap.",
        Sub => "subtract": "`Sub`.",
        Mul => "multiply": "`Mul`.",
        Div => "divide": "`RealDiv` of floats, `TruncateDiv` of integers.",
        DivNoNan => "divide_no_nan": "`DivNoNan`: 0 where the divisor is 0.",
        FloorDiv => "floor_div": "`FloorDiv`.",
        FloorMod => "floor_mod": "`FloorMod`: the divisor's sign.",
        TruncateMod => "truncate_mod": "`TruncateMod`: the dividend's sign.",
        Minimum => "minimum": "`Minimum`; NaN where either is.",
        Maximum => "maximum": "`Maximum`; NaN where either is.",
        Pow => "power": "`Pow`.",
        SquaredDifference => "squared_difference": "`SquaredDifference`.",
        Prelu => "prelu": "The first where it is not negative, else the product.",
        Equal => "equal": "`Equal`.",
        NotEqual => "not_equal": "`NotEqual`.",
        Less => "less": "`Less`.",
        LessEqual => "less_equal": "`LessEqual`.",
        Greater => "greater": "`Greater`.",
        GreaterEqual => "greater_equal": "`GreaterEqual`.",
        LogicalAnd => "logical_and": "`LogicalAnd`.",
        LogicalOr => "logical_or": "`LogicalOr`.",
    }
}

operations! {
    /// A function of one element.
    UnaryOp {
        Abs => "abs": "`Abs`.",
        Neg => "negate": "`Neg`.",
        Sign => "sign": "`Sign`; NaN stays.",
        Square => "square": "`Square`.",
        Round => "round": "`Round` and `Rint`: half to even.",
        Ceil => "ceil": "`Ceil`.",
        Floor => "floor": "`Floor`.",
        Exp => "exp": "`Exp`.",
        Expm1 => "expm1": "`Expm1`.",
        Log => "log": "`Log`.",
        Log1p => "log1p": "`Log1p`.",
        Sqrt => "sqrt": "`Sqrt`.",
        Rsqrt => "rsqrt": "`Rsqrt`.",
        Reciprocal => "reciprocal": "`Reciprocal`.",
        Sin => "sin": "`Sin`.",
        Cos => "cos": "`Cos`.",
        Tan => "tan": "`Tan`.",
        Asin => "asin": "`Asin`.",
        Acos => "acos": "`Acos`.",
        Atan => "atan": "`Atan`.",
        Sinh => "sinh": "`Sinh`.",
        Cosh => "cosh": "`Cosh`.",
        Asinh => "asinh": "`Asinh`.",
        Acosh => "acosh": "`Acosh`.",
        Atanh => "atanh": "`Atanh`.",
        Erf => "erf": "`Erf`.",
        Relu => "relu": "`Relu`.",
        Relu6 => "relu6": "`Relu6`.",
        LeakyRelu => "leaky_relu": "`LeakyRelu`, with `alpha`.",
        Elu => "elu": "`Elu`.",
        Selu => "selu": "`Selu`.",
        Sigmoid => "sigmoid": "`Sigmoid`.",
        Tanh => "tanh": "`Tanh`.",
        Softplus => "softplus": "`Softplus`.",
        Softsign => "softsign": "`Softsign`.",
        IsFinite => "is_finite": "`IsFinite`.",
        IsInf => "is_infinite": "`IsInf`.",
        IsNan => "is_nan": "`IsNan`.",
        LogicalNot => "logical_not": "`LogicalNot`.",
    }
}

impl BinaryOp {
    fn compares(self) -> bool {
        self.is_equality()
            || matches!(
                self,
                Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
            )
    }

    fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    fn is_logical(self) -> bool {
        matches!(self, Self::LogicalAnd | Self::LogicalOr)
    }

    /// The type that holds elements of both inputs, where the operation is defined for it.
    pub fn computed_in(self, a: ElementType, b: ElementType) -> Option<ElementType> {
        let common = a.common(b)?;
        let defined = match common {
            ElementType::Bool => self.is_equality() || self.is_logical(),
            _ if self.is_logical() => false,
            _ if matches!(self, Self::DivNoNan | Self::Prelu) => common.is_float(),
            _ => true,
        };
        defined.then_some(common)
    }

    /// Does the operation make booleans?
    pub fn is_test(self) -> bool {
        self.compares() || self.is_logical()
    }
}

impl UnaryOp {
    /// Is the operation defined for elements of this type?
    pub fn is_defined_for(self, x: ElementType) -> bool {
        use UnaryOp::{Abs, LogicalNot, Neg, Relu, Relu6, Round, Sign, Square};
        match x {
            ElementType::Bool => self == LogicalNot,
            ElementType::F32 | ElementType::F16 => self != LogicalNot,
            ElementType::I32 | ElementType::I64 if self == Round => true,
            _ => matches!(self, Abs | Neg | Sign | Square | Relu | Relu6),
        }
    }

    /// Does the operation make booleans?
    pub fn is_test(self) -> bool {
        matches!(
            self,
            Self::IsFinite | Self::IsInf | Self::IsNan | Self::LogicalNot
        )
    }
}

/// Can `out` hold what is computed in `computed`?
fn holds(test: bool, computed: ElementType, out: ElementType) -> bool {
    if test {
        out == ElementType::Bool
    } else {
        out.common(computed).is_some()
    }
}

impl Kernels {
    /// `out = op(a, b)`, where `a` and `b` broadcast to `out`. The inputs have one type, or are
    /// `I32` and `I64`; so has `out`, or it is `Bool` for a comparison.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn binary(
        &self,
        scope: &Scope<'_, '_>,
        op: BinaryOp,
        a: &DeviceTensor,
        b: &DeviceTensor,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check("binary", &[a, b, out])?;
        let number = op
            .computed_in(a.dtype, b.dtype)
            .filter(|&number| holds(op.is_test(), number, out.dtype))
            .ok_or_else(|| refuse_types(op.function(), &[a, b, out]))?;
        let (shape, walk) =
            Walk::broadcast([&a.shape, &b.shape]).ok_or_else(|| KernelError::Shapes {
                kernel: op.function(),
                detail: format!("{:?} and {:?} do not broadcast", a.shape, b.shape),
            })?;
        expect_shape(op.function(), &shape, out)?;
        let program = Program {
            source: &BINARY,
            index,
            defines: &[
                ("A", a.dtype.name()),
                ("B", b.dtype.name()),
                ("OUT", out.dtype.name()),
                ("NUMBER", number.name()),
                ("OPERATION", op.function()),
            ],
        };
        let arguments = [
            KernelArgument::Read(&a.region),
            KernelArgument::Read(&b.region),
            KernelArgument::Write(&out.region),
            KernelArgument::Bytes(&index.walk(op.function(), &walk)?),
            KernelArgument::Bytes(&index.sizes(&[out.elements()])),
        ];
        // SAFETY: these are the arguments of `binary`; the walk has as many points as `out` has
        // elements and stays within `a` and `b` by their shapes, all of which fit their regions.
        unsafe { self.launch(scope, &program, out.elements(), &arguments) }
    }

    /// `out = op(x)`; both have one type, or are `I32` and `I64`, or `out` is `Bool` for a test.
    /// Only [`UnaryOp::LeakyRelu`] reads `alpha`.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn unary(
        &self,
        scope: &Scope<'_, '_>,
        op: UnaryOp,
        alpha: f32,
        x: &DeviceTensor,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check("unary", &[x, out])?;
        if !op.is_defined_for(x.dtype) || !holds(op.is_test(), x.dtype, out.dtype) {
            return Err(refuse_types(op.function(), &[x, out]));
        }
        expect_shape(op.function(), &x.shape, out)?;
        let program = Program {
            source: &UNARY,
            index,
            defines: &[
                ("IN", x.dtype.name()),
                ("OUT", out.dtype.name()),
                ("OPERATION", op.function()),
            ],
        };
        let arguments = [
            KernelArgument::Read(&x.region),
            KernelArgument::Write(&out.region),
            KernelArgument::F32(alpha),
            KernelArgument::Bytes(&index.sizes(&[out.elements()])),
        ];
        // SAFETY: these are the arguments of `unary`; `x` and `out` have as many elements, all of
        // which fit their regions.
        unsafe { self.launch(scope, &program, out.elements(), &arguments) }
    }

    /// `out = x` in the type of `out`, as TensorFlow's `Cast` has it on a CPU: floats truncate
    /// towards zero, by way of the smallest integer where they do not fit, and integers keep the
    /// low bits.
    ///
    /// # Errors
    /// [`KernelError`] where shapes or regions do not fit.
    pub fn cast(
        &self,
        scope: &Scope<'_, '_>,
        x: &DeviceTensor,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let index = check("cast", &[x, out])?;
        expect_shape("cast", &x.shape, out)?;
        let program = Program {
            source: &CAST,
            index,
            defines: &[("IN", x.dtype.name()), ("OUT", out.dtype.name())],
        };
        let arguments = [
            KernelArgument::Read(&x.region),
            KernelArgument::Write(&out.region),
            KernelArgument::Bytes(&index.sizes(&[out.elements()])),
        ];
        // SAFETY: these are the arguments of `cast`; `x` and `out` have as many elements, all of
        // which fit their regions.
        unsafe { self.launch(scope, &program, out.elements(), &arguments) }
    }

    /// `out = condition ? a : b`, where the three broadcast to `out`. The condition is `Bool`; `a`,
    /// `b` and `out` have one type, or are `I32` and `I64`.
    ///
    /// # Errors
    /// [`KernelError`] where types, shapes or regions do not fit.
    pub fn select(
        &self,
        scope: &Scope<'_, '_>,
        condition: &DeviceTensor,
        a: &DeviceTensor,
        b: &DeviceTensor,
        out: &DeviceTensor,
    ) -> Result<(), KernelError> {
        let tensors = [condition, a, b, out];
        let index = check("select", &tensors)?;
        let types = if a.dtype == b.dtype && a.dtype == out.dtype {
            a.dtype.moved(out.dtype).map(|[bits, _]| [bits; 3])
        } else {
            let common = a.dtype.common(b.dtype);
            common
                .and_then(|common| common.common(out.dtype))
                .map(|_| [a.dtype.name(), b.dtype.name(), out.dtype.name()])
        };
        let [a_type, b_type, out_type] = types
            .filter(|_| condition.dtype == ElementType::Bool)
            .ok_or_else(|| refuse_types("select", &tensors))?;
        let shapes: [&[usize]; 3] = [&condition.shape, &a.shape, &b.shape];
        let (shape, walk) = Walk::broadcast(shapes).ok_or_else(|| KernelError::Shapes {
            kernel: "select",
            detail: format!("{shapes:?} do not broadcast"),
        })?;
        expect_shape("select", &shape, out)?;
        let program = Program {
            source: &SELECT,
            index,
            defines: &[("A", a_type), ("B", b_type), ("OUT", out_type)],
        };
        let arguments = [
            KernelArgument::Read(&condition.region),
            KernelArgument::Read(&a.region),
            KernelArgument::Read(&b.region),
            KernelArgument::Write(&out.region),
            KernelArgument::Bytes(&index.walk("select", &walk)?),
            KernelArgument::Bytes(&index.sizes(&[out.elements()])),
        ];
        // SAFETY: these are the arguments of `select`; the walk has as many points as `out` has
        // elements and stays within the inputs by their shapes, all of which fit their regions.
        unsafe { self.launch(scope, &program, out.elements(), &arguments) }
    }
}
