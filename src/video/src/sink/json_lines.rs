use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{Sink, SinkOptions, output::Output};
use crate::{Found, Frame, Labels, Results, VideoError};

/// One JSON object a line for each frame.
#[derive(Debug)]
pub(super) struct JsonLines {
    writer: Writer,
    labels: Labels,
    outputs: Vec<String>,
}

#[derive(Debug)]
enum Writer {
    Standard(BufWriter<io::Stdout>),
    File(BufWriter<File>, Output),
}

impl JsonLines {
    pub(super) fn open(path: Option<&Path>, options: &SinkOptions) -> Result<Self, VideoError> {
        let writer = match path {
            None => Writer::Standard(BufWriter::new(io::stdout())),
            Some(path) => {
                let mut output = Output::create(path)?;
                let file = output.file().try_clone();
                let file = file.map_err(|error| VideoError::write(path, error))?;
                Writer::File(BufWriter::new(file), output)
            }
        };
        Ok(Self {
            writer,
            labels: options.labels.clone(),
            outputs: options.outputs.clone(),
        })
    }
}

impl Sink for JsonLines {
    fn needs_overlay(&self, _: u64) -> bool {
        false
    }

    fn write(&mut self, frame: &Frame, results: &Results) -> Result<(), VideoError> {
        let line = Line::new(frame, results, &self.labels, &self.outputs);
        let written = match &mut self.writer {
            // A reader of standard output wants each line at once.
            Writer::Standard(out) => line.write(out).and_then(|()| out.flush()),
            Writer::File(out, _) => line.write(out),
        };
        written.map_err(|error| self.writer.fail(error))
    }

    fn complete(&mut self) -> Result<(), VideoError> {
        let flushed = match &mut self.writer {
            Writer::Standard(out) => out.flush(),
            Writer::File(out, _) => out.flush(),
        };
        flushed.map_err(|error| self.writer.fail(error))
    }

    fn commit(self: Box<Self>) -> Result<(), VideoError> {
        match self.writer {
            Writer::Standard(_) => Ok(()),
            Writer::File(_, output) => output.commit(),
        }
    }
}

impl Writer {
    fn fail(&self, error: io::Error) -> VideoError {
        match self {
            Self::Standard(_) => VideoError::write("standard output", error),
            Self::File(_, output) => VideoError::write(output.path(), error),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    frame: u64,
    pts_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(flatten)]
    found: FoundLine<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum FoundLine<'a> {
    #[serde(serialize_with = "sequence")]
    Detections(Items<'a>),
    #[serde(serialize_with = "sequence")]
    Classes(Items<'a>),
    #[serde(serialize_with = "sequence")]
    Outputs(Items<'a>),
}

#[derive(Clone, Copy)]
struct Items<'a> {
    results: &'a Results,
    labels: &'a Labels,
    outputs: &'a [String],
}

#[derive(Serialize)]
struct DetectionItem<L: fmt::Display> {
    #[serde(serialize_with = "display")]
    label: L,
    class: i32,
    score: f64,
    r#box: [f64; 4],
}

#[derive(Serialize)]
struct ClassItem<L: fmt::Display> {
    #[serde(serialize_with = "display")]
    label: L,
    class: i32,
    score: f64,
}

#[derive(Serialize)]
struct OutputItem<'a> {
    name: &'a str,
    shape: &'a [usize],
}

impl<'a> Line<'a> {
    fn new(
        frame: &'a Frame,
        results: &'a Results,
        labels: &'a Labels,
        outputs: &'a [String],
    ) -> Self {
        let items = Items {
            results,
            labels,
            outputs,
        };
        Self {
            frame: frame.index,
            pts_ns: frame.pts_ns,
            source: frame.name(),
            found: match &results.found {
                Found::Detections(_) => FoundLine::Detections(items),
                Found::Classes(_) => FoundLine::Classes(items),
                Found::Outputs(_) => FoundLine::Outputs(items),
            },
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

fn sequence<S: Serializer>(items: &Items<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    match &items.results.found {
        Found::Detections(detections) => {
            serializer.collect_seq(detections.iter().map(|found| DetectionItem {
                label: items.labels.display(found.class),
                class: found.class,
                score: rounded(found.score, 1e5),
                r#box: found.box_.map(|value| rounded(value, 1e2)),
            }))
        }
        Found::Classes(classes) => serializer.collect_seq(classes.iter().map(|found| ClassItem {
            label: items.labels.display(found.class),
            class: found.class,
            score: rounded(found.score, 1e5),
        })),
        Found::Outputs(outputs) => {
            let mut sequence = serializer.serialize_seq(Some(outputs.len()))?;
            for (index, output) in outputs.iter().enumerate() {
                let name = items.outputs.get(index).map_or("", String::as_str);
                let shape = &output.shape;
                sequence.serialize_element(&OutputItem { name, shape })?;
            }
            sequence.end()
        }
    }
}

fn display<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// `value` to the nearest 1 / `unit`.
fn rounded(value: f32, unit: f64) -> f64 {
    (f64::from(value) * unit).round() / unit
}

#[cfg(test)]
mod tests {
    use tfjet_core::{DType, Decoder, Tensor};

    use super::*;
    use crate::{Class, Classes, Detection, Detections, Placement, decode};

    fn line(frame: &Frame, found: Found) -> String {
        let labels = Labels::new(vec!["person".into(), "say \"hi\"".into()], &Decoder::Raw);
        let results = Results {
            found,
            ..Results::default()
        };
        let mut out = Vec::new();
        let outputs = ["scores".to_owned()];
        Line::new(frame, &results, &labels, &outputs)
            .write(&mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_exact() {
        let mut frame = Frame::filled(4, 4, [0; 3]).unwrap();
        frame.pts_ns = Some(123);
        let found = [
            Detection {
                class: 0,
                score: 0.9,
                box_: [1.0, 2.126, 3.5, 4.0],
            },
            Detection {
                class: 7,
                score: 0.123_456_7,
                box_: [0.0; 4],
            },
        ];
        assert_eq!(
            line(
                &frame,
                Found::Detections(Detections::from_slice(&found).unwrap())
            ),
            "{\"frame\":0,\"pts_ns\":123,\"detections\":[\
             {\"label\":\"person\",\"class\":0,\"score\":0.9,\"box\":[1.0,2.13,3.5,4.0]},\
             {\"label\":\"7\",\"class\":7,\"score\":0.12346,\"box\":[0.0,0.0,0.0,0.0]}]}\n"
        );
        frame.index = 5;
        frame.pts_ns = None;
        frame.set_name("a b.png");
        let classes = Classes::from_slice(&[Class {
            class: 1,
            score: 0.5,
        }])
        .unwrap();
        assert_eq!(
            line(&frame, Found::Classes(classes)),
            "{\"frame\":5,\"pts_ns\":null,\"source\":\"a b.png\",\"classes\":[\
             {\"label\":\"say \\\"hi\\\"\",\"class\":1,\"score\":0.5}]}\n"
        );
        assert_eq!(
            line(&frame, Found::Detections(Detections::new())),
            "{\"frame\":5,\"pts_ns\":null,\"source\":\"a b.png\",\"detections\":[]}\n"
        );
        let tensor = Tensor::zeros(DType::F32, &[1, 3]).unwrap();
        let mut results = Results::default();
        let views = [tensor.view(), tensor.view()];
        decode(
            &Decoder::Raw,
            &views,
            &Placement::identity(1, 1),
            &mut results,
        )
        .unwrap();
        frame.set_name("");
        assert_eq!(
            line(&frame, results.found),
            "{\"frame\":5,\"pts_ns\":null,\"outputs\":[\
             {\"name\":\"scores\",\"shape\":[1,3]},{\"name\":\"\",\"shape\":[1,3]}]}\n"
        );
    }
}
