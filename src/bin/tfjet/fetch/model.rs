use std::fs;
use std::path::Path;

use serde::Deserialize;
use tfjet_core::{
    BoxColumns, ColorOrder, Decoder, ImageLayout, Preprocess, ResizeFilter, ResizeMode,
};

use super::FetchError;
use super::archive::sha256_of;
use super::manifest::{Entry, Manifest};

/// What `tfjet convert` takes for a model that the manifest knows, where no flag says otherwise.
///
/// Indices in `preprocess` and `decoder` are positions in `inputs` and `outputs`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelEntry {
    /// Name of the entry.
    pub(crate) name: String,
    /// Names of the graph's inputs.
    pub(crate) inputs: Vec<String>,
    /// Names of the graph's outputs.
    pub(crate) outputs: Vec<String>,
    /// How a frame becomes the first input.
    pub(crate) preprocess: Option<Preprocess>,
    /// How outputs become results.
    pub(crate) decoder: Decoder,
    /// Names of the classes; may be empty.
    pub(crate) labels: Vec<String>,
}

/// The manifest's entry for a model file, recognised by its hash.
///
/// `Ok(None)` where the manifest does not know the file. An error where it cannot be read.
pub(crate) fn defaults_for(path: &Path) -> Result<Option<ModelEntry>, FetchError> {
    let bytes = fs::metadata(path).map_err(FetchError::at(path))?.len();
    let manifest = Manifest::embedded()?;
    let mut found = None;
    for (name, entry) in &manifest.entries {
        let Some(model) = &entry.model else { continue };
        let Some(file) = entry.cache_files().find(|file| file.name == model.file) else {
            continue;
        };
        if file.bytes != bytes {
            continue;
        }
        if found.is_none() {
            found = Some(sha256_of(path)?);
        }
        if found.as_deref() == Some(file.sha256) {
            return model.resolve(name, &manifest).map(Some);
        }
    }
    Ok(None)
}

/// The `model` table of an entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelSpec {
    file: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    #[serde(default)]
    labels: Labels,
    preprocess: Option<PreprocessSpec>,
    decoder: DecoderSpec,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Labels {
    File(String),
    List(Vec<String>),
}

impl Default for Labels {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreprocessSpec {
    /// Width, height.
    size: [usize; 2],
    resize: ResizeSpec,
    filter: FilterSpec,
    color: ColorSpec,
    mean: [f32; 3],
    scale: [f32; 3],
    layout: LayoutSpec,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ResizeSpec {
    Stretch,
    Letterbox(u8),
    CenterCrop(f32),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FilterSpec {
    Nearest,
    Bilinear,
    Bicubic,
    Area,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ColorSpec {
    Rgb,
    Bgr,
    Gray,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LayoutSpec {
    Nhwc,
    Nchw,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum DecoderSpec {
    Raw,
    Classify {
        output: String,
        top_k: usize,
    },
    DetectSsd {
        boxes: String,
        scores: String,
        classes: String,
        count: Option<String>,
        class_offset: i32,
        threshold: f32,
    },
    DetectRows {
        output: String,
        columns: Vec<String>,
        normalized: bool,
        threshold: f32,
    },
}

impl ModelSpec {
    /// The first thing that cannot be.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), String> {
        if !entry.cache_files().any(|file| file.name == self.file) {
            return Err(format!("`model.file` {} is none of its files", self.file));
        }
        if let Some(preprocess) = &self.preprocess
            && (self.inputs.is_empty() || preprocess.size.contains(&0))
        {
            return Err("`model.preprocess` needs an input and a size".into());
        }
        self.decoder().map(drop)
    }

    /// With labels read and names turned into indices.
    pub(super) fn resolve(
        &self,
        name: &str,
        manifest: &Manifest,
    ) -> Result<ModelEntry, FetchError> {
        let labels = match &self.labels {
            Labels::List(labels) => labels.clone(),
            Labels::File(file) => manifest.resource(file)?.lines().map(String::from).collect(),
        };
        let decoder = self.decoder().map_err(|message| FetchError::Manifest {
            file: "models/manifest.toml".into(),
            message: format!("entry {name}: {message}"),
        })?;
        Ok(ModelEntry {
            name: name.into(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            preprocess: self.preprocess.as_ref().map(PreprocessSpec::preprocess),
            decoder,
            labels,
        })
    }

    fn decoder(&self) -> Result<Decoder, String> {
        let index = |name: &String| {
            self.outputs
                .iter()
                .position(|output| output == name)
                .ok_or_else(|| format!("decoder output `{name}` is not in `model.outputs`"))
        };
        Ok(match &self.decoder {
            DecoderSpec::Raw => Decoder::Raw,
            DecoderSpec::Classify { output, top_k } => Decoder::Classify {
                output: index(output)?,
                top_k: *top_k,
            },
            DecoderSpec::DetectSsd {
                boxes,
                scores,
                classes,
                count,
                class_offset,
                threshold,
            } => Decoder::DetectSsd {
                boxes: index(boxes)?,
                scores: index(scores)?,
                classes: index(classes)?,
                count: count.as_ref().map(index).transpose()?,
                class_offset: *class_offset,
                threshold: *threshold,
            },
            DecoderSpec::DetectRows {
                output,
                columns,
                normalized,
                threshold,
            } => Decoder::DetectRows {
                output: index(output)?,
                columns: BoxColumns::named(columns)
                    .map_err(|name| format!("decoder columns lack `{name}`"))?,
                normalized: *normalized,
                threshold: *threshold,
            },
        })
    }
}

impl PreprocessSpec {
    fn preprocess(&self) -> Preprocess {
        let [width, height] = self.size;
        Preprocess {
            input: 0,
            width,
            height,
            resize: match self.resize {
                ResizeSpec::Stretch => ResizeMode::Stretch,
                ResizeSpec::Letterbox(fill) => ResizeMode::Letterbox(fill),
                ResizeSpec::CenterCrop(fraction) => ResizeMode::CenterCrop(fraction),
            },
            filter: match self.filter {
                FilterSpec::Nearest => ResizeFilter::Nearest,
                FilterSpec::Bilinear => ResizeFilter::Bilinear,
                FilterSpec::Bicubic => ResizeFilter::Bicubic,
                FilterSpec::Area => ResizeFilter::Area,
            },
            color: match self.color {
                ColorSpec::Rgb => ColorOrder::Rgb,
                ColorSpec::Bgr => ColorOrder::Bgr,
                ColorSpec::Gray => ColorOrder::Gray,
            },
            mean: self.mean,
            scale: self.scale,
            layout: match self.layout {
                LayoutSpec::Nhwc => ImageLayout::Nhwc,
                LayoutSpec::Nchw => ImageLayout::Nchw,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str) -> ModelEntry {
        let manifest = Manifest::embedded().unwrap();
        let (name, entry) = manifest.entry(name).unwrap();
        entry
            .model
            .as_ref()
            .unwrap()
            .resolve(name, &manifest)
            .unwrap()
    }

    #[test]
    fn centernet_decodes_rows_in_pixels() {
        let model = resolved("centernet");
        assert_eq!(model.labels.len(), 80);
        assert_eq!(model.labels[0], "person");
        assert_eq!(model.labels[79], "toothbrush");
        let columns = BoxColumns {
            x1: 0,
            y1: 1,
            x2: 2,
            y2: 3,
            score: 4,
            class: 5,
        };
        assert!(matches!(
            model.decoder,
            Decoder::DetectRows { output: 0, columns: found, normalized: false, .. } if found == columns
        ));
    }

    #[test]
    fn efficientnet_takes_the_crop_and_scale_that_it_was_trained_with() {
        let model = resolved("efficientnet-lite0");
        let preprocess = model.preprocess.unwrap();
        assert_eq!(model.labels.len(), 1000);
        assert_eq!(preprocess.resize, ResizeMode::CenterCrop(0.875));
        assert_eq!(preprocess.filter, ResizeFilter::Bicubic);
        assert_eq!(preprocess.mean, [127.0; 3]);
        assert_eq!(preprocess.scale, [1.0 / 128.0; 3]);
    }

    #[test]
    fn handtrack_outputs_are_found_by_name() {
        assert!(matches!(
            resolved("handtrack").decoder,
            Decoder::DetectSsd {
                boxes: 0,
                scores: 1,
                classes: 2,
                count: Some(3),
                ..
            }
        ));
    }

    #[test]
    fn a_file_that_the_manifest_does_not_know_has_no_defaults() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // As long as centernet.json, so that the hash decides.
        fs::write(file.path(), vec![b' '; 201_673]).unwrap();
        assert_eq!(defaults_for(file.path()).unwrap(), None);
        assert!(defaults_for(&file.path().join("none")).is_err());
    }
}
