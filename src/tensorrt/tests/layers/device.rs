use std::time::{Duration, Instant};

use tfjet_core::{DType, Layer, Tensor, TopKOperation};
use tfjet_cuda::{Context, DeviceBuffer, Driver, Region, Stream};
use tfjet_tensorrt::{BuildOptions, Builder, DataType, EntryPoints, Library, Precision, Runtime};

use crate::case::{Case, Dims, compare, tensor, values};
use crate::pack::Pack;
use crate::reference::Array;
use crate::{in_packs, symbolic};

/// Every so many cases of the modes after the first, whose kernels are tuned anew.
const SAMPLE: usize = 3;

/// Builds and runs the cases on the first GPU: all of them in FP32, some in FP16 and with symbols
/// for sizes, at the same time.
pub fn check(library: &Library, cases: &[Case]) {
    let driver = Driver::load().unwrap();
    let context = Context::new(&driver, 0).unwrap();
    // Scores of so many boxes are no longer different numbers in halves.
    let is_close = |case: &Case| case.name.starts_with("Nms 5000");
    let some = cases.iter().step_by(SAMPLE).filter(|case| !is_close(case));
    let some: Vec<Case> = some.cloned().collect();
    let modes = [
        (Precision::Fp32, false, cases),
        (Precision::Fp16, false, &some),
        (Precision::Fp32, true, &some),
    ];
    let failures: Vec<String> = std::thread::scope(|threads| {
        let context = &context;
        let running = modes.map(|(precision, symbols, cases)| {
            threads.spawn(move || mode(library, context, precision, symbols, cases))
        });
        running
            .into_iter()
            .flat_map(|mode| mode.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn mode(
    library: &Library,
    context: &Context,
    precision: Precision,
    symbols: bool,
    cases: &[Case],
) -> Vec<String> {
    context.make_current().unwrap();
    let stream = Stream::new(context).unwrap();
    let runtime = Runtime::new(library).unwrap();
    let builder = Builder::new(library).unwrap();
    let mut timings = None;
    let start = Instant::now();
    let dims = |case: &Case| if symbols { symbolic(case) } else { Dims::Fixed };
    let (built, mut failed) = in_packs(cases, dims, |pack| {
        let options = BuildOptions {
            precision,
            profiles: pack.profiles(),
            tactic_sources: Some(0),
            tf32: false,
            ..BuildOptions::default()
        };
        let cache = timings.as_deref();
        let built = builder.build(&pack.spec, pack, &options, cache, &mut |_| ());
        let built = built.map_err(|error| error.to_string())?;
        timings = built.timing_cache;
        Ok(built.engine)
    });
    let building = start.elapsed();
    let engines = built.len();
    for (pack, engine) in built {
        for entry_points in [EntryPoints::Newest, EntryPoints::Bindings] {
            let run = run(&runtime, context, &stream, &pack, &engine, entry_points);
            match run {
                Ok(outputs) => failed.extend(differences(&pack, &outputs, precision)),
                Err(error) => failed.push(format!("{}...: {error}", pack.cases[0].name)),
            }
        }
    }
    let kind = if symbols { "symbols" } else { "fixed sizes" };
    summary(
        library,
        context,
        precision,
        kind,
        engines,
        cases.len(),
        &failed,
        [building, start.elapsed()],
    );
    for failure in &failed {
        eprintln!("  {failure}");
    }
    failed
        .iter()
        .map(|f| format!("{precision}, {kind}: {f}"))
        .collect()
}

#[expect(clippy::too_many_arguments, reason = "one line of numbers")]
fn summary(
    library: &Library,
    context: &Context,
    precision: Precision,
    kind: &str,
    engines: usize,
    cases: usize,
    failed: &[String],
    [building, all]: [Duration; 2],
) {
    eprintln!(
        "{} on {}, {precision}, {kind}: {cases} cases in {engines} engines, {} failed, built in \
         {building:.1?}, {all:.1?} in all",
        library.version(),
        context.device().name,
        failed.len(),
    );
}

/// The type of a tensor at the engine's edge; the values are converted on the host.
fn edge(dtype: DataType) -> DType {
    dtype.dtype().unwrap()
}

fn run(
    runtime: &Runtime,
    context: &Context,
    stream: &Stream,
    pack: &Pack,
    engine: &[u8],
    entry_points: EntryPoints,
) -> Result<Vec<Tensor>, Box<dyn std::error::Error>> {
    let engine = runtime.deserialize(engine)?;
    let mut execution = engine.context(entry_points)?;
    let position = |name: String| engine.position(&name).ok_or(format!("no {name}"));
    let mut uploads: Vec<(usize, Tensor)> = Vec::new();
    for (i, (_, array)) in pack.inputs().enumerate() {
        let at = position(format!("input:{i}"))?;
        execution.set_input_shape(at, &array.shape)?;
        uploads.push((at, tensor(edge(engine.io()[at].dtype), &array)));
    }
    let mut downloads: Vec<(usize, Tensor)> = Vec::new();
    for (i, _) in pack.expected().enumerate() {
        let at = position(format!("output:{i}"))?;
        let shape = execution.tensor_shape(at)?;
        downloads.push((at, Tensor::zeros(edge(engine.io()[at].dtype), &shape)?));
    }
    let mut buffers: Vec<Option<DeviceBuffer>> = vec![None; engine.io().len()];
    for (at, tensor) in uploads.iter().chain(&downloads) {
        let bytes = tensor.bytes().len().max(1);
        buffers[*at] = Some(DeviceBuffer::new(context, bytes)?);
    }
    let regions: Vec<Region> = buffers
        .iter()
        .map(|buffer| Ok(buffer.as_ref().ok_or("an unknown tensor")?.region()))
        .collect::<Result<_, &str>>()?;
    let mut targets: Vec<(usize, &mut Tensor)> = downloads
        .iter_mut()
        .map(|(at, tensor)| (*at, tensor))
        .collect();
    stream.scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
        for (at, tensor) in &uploads {
            scope.upload(&regions[*at], tensor.bytes())?;
        }
        execution.enqueue(scope, &regions)?;
        for (at, tensor) in targets.drain(..) {
            let bytes = tensor.bytes_mut();
            let region = regions[at].slice(0, bytes.len()).ok_or("a short region")?;
            scope.download(bytes, &region)?;
        }
        Ok(())
    })??;
    Ok(downloads.into_iter().map(|(_, tensor)| tensor).collect())
}

fn differences(pack: &Pack, outputs: &[Tensor], precision: Precision) -> Vec<String> {
    let mut failed = Vec::new();
    for ((case, place, (dtype, expected)), output) in pack.expected().zip(outputs) {
        let result = if matches!(case.layer, Layer::TopK { .. }) && place == 1 {
            picked(case, output)
        } else {
            let actual = tensor(*dtype, &Array::new(output.shape(), &values(output)));
            compare(
                &actual,
                *dtype,
                expected,
                tolerance(case, *dtype, precision),
            )
        };
        if let Err(error) = result {
            failed.push(format!("{}: {error}", case.name));
        }
    }
    failed
}

fn tolerance(case: &Case, dtype: DType, precision: Precision) -> f64 {
    if !dtype.is_float() {
        return 0.0;
    }
    match precision {
        Precision::Fp32 if dtype == DType::F32 => 1e-4,
        // A half may round to the next whole number before it is cut off.
        Precision::Fp16
            if ["Floor", "Ceil"]
                .iter()
                .any(|word| case.name.starts_with(word)) =>
        {
            1.0
        }
        _ => 1e-2,
    }
}

/// Equal values may be found in any order, so an index is right where the value is.
fn picked(case: &Case, indices: &Tensor) -> Result<(), String> {
    let Layer::TopK {
        axis, operation, ..
    } = &case.layer
    else {
        return Err("no top-k layer".into());
    };
    let (from, found) = (&case.inputs[0].1, &case.expected[0].1);
    let indices = Array::new(indices.shape(), &values(indices));
    if indices.shape != found.shape {
        return Err(format!("indices are {:?}", indices.shape));
    }
    for flat in 0..indices.data.len() {
        let mut at = crate::reference::index(&indices.shape, flat);
        let value = found.at(&at);
        let index = indices.at(&at);
        at[*axis] = index as usize;
        let inside = index >= 0.0 && at[*axis] < from.shape[*axis];
        if !inside || from.at(&at) != value {
            let which = if *operation == TopKOperation::Max {
                "max"
            } else {
                "min"
            };
            return Err(format!("{which} index {flat} is {index}"));
        }
    }
    Ok(())
}
