//! The least that a program can do with an engine of a bundle: deserialize it, give it memory on
//! the device, and call `enqueueV3` back to back, plainly and as a CUDA graph. What `tfjet-run
//! bench` is held against.
//!
//! `raw-enqueue BUNDLE TARGET SECONDS TENSORRT [DIMS]`, where TARGET names the engine's section
//! and DIMS, such as `8x224x224x3`, are the shape of an engine's only input where it is dynamic. It
//! first says how long a first result took from the start of `main`; with 0 seconds that is all.

#![allow(clippy::print_stdout, reason = "prints what it measures")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tfjet::bundle::Bundle;
use tfjet::core::DType;
use tfjet::cuda::{Context, DeviceBuffer, Driver, Event, Region, Stream};
use tfjet::tensorrt::{EntryPoints, Flavor, Library, Runtime};

const BATCH: u32 = 20;

fn main() -> anyhow::Result<()> {
    let begin = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, target, seconds, library, rest @ ..] = arguments.as_slice() else {
        bail!("usage: raw-enqueue BUNDLE TARGET SECONDS TENSORRT [DIMS]");
    };
    let bundle = Bundle::open(Path::new(bundle))?;
    let (_, bytes) = bundle.engine(target, 0)?;
    let seconds = Duration::from_secs_f64(seconds.parse()?);

    let context = Context::new(&Driver::load()?, 0)?;
    let library = Library::load(Flavor::TensorRt, Some(Path::new(library)), &[])?;
    let engine = Runtime::new(&library)?.deserialize(bytes)?;
    let mut execution = engine.context(EntryPoints::Newest)?;
    if let Some(dims) = rest.first() {
        let dims: Vec<usize> = dims.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let input = engine
            .io()
            .iter()
            .position(|tensor| tensor.is_input)
            .context("the engine has no input")?;
        execution.set_input_shape(input, &dims)?;
    }
    let mut regions: Vec<Region> = Vec::new();
    for (index, tensor) in engine.io().iter().enumerate() {
        let elements: usize = execution.tensor_shape(index)?.iter().product();
        let buffer = DeviceBuffer::new(
            &context,
            elements * tensor.dtype.dtype().map_or(8, DType::size_bytes),
        )?;
        regions.push(buffer.region());
    }

    let stream = Stream::new(&context)?;
    stream.scope(|scope| execution.enqueue(scope, &regions))??;
    let first_result = begin.elapsed().as_secs_f64() * 1e3;
    println!("{{\"first_result_ms\": {first_result:.1}}}");
    if seconds.is_zero() {
        return Ok(());
    }
    let (first, last) = (Event::new(&context, true)?, Event::new(&context, true)?);
    let mut measure = |name: &str, graph: Option<&tfjet::cuda::Graph>| -> anyhow::Result<()> {
        let (mut runs, start) = (0, Instant::now());
        stream.scope(|scope| -> anyhow::Result<()> {
            scope.record(&first)?;
            while start.elapsed() < seconds {
                for _ in 0..BATCH {
                    match graph {
                        Some(graph) => scope.replay(graph)?,
                        None => execution.enqueue(scope, &regions)?,
                    }
                }
                runs += BATCH;
                scope.synchronize()?;
            }
            scope.record(&last)?;
            scope.synchronize()?;
            Ok(())
        })??;
        let wall = start.elapsed().as_secs_f64() * 1e3 / f64::from(runs);
        let event = f64::from(last.elapsed_ms(&first)?) / f64::from(runs);
        println!(
            "{{\"loop\": \"{name}\", \"runs\": {runs}, \"wall_ms\": {wall:.4}, \"event_ms\": {event:.4}}}"
        );
        Ok(())
    };
    measure("warm-up", None)?;
    measure("enqueueV3", None)?;
    let mut second = engine.context(EntryPoints::Newest)?;
    if let Some(dims) = rest.first() {
        let dims: Vec<usize> = dims.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let input = engine.io().iter().position(|tensor| tensor.is_input);
        second.set_input_shape(input.unwrap_or_default(), &dims)?;
    }
    stream.scope(|scope| second.enqueue(scope, &regions))??;
    let graph = stream.capture(|scope| Ok(second.enqueue(scope, &regions)?))?;
    measure("CUDA graph", Some(&graph))
}
