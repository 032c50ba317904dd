//! TensorRT's calibration cache: a line with release and calibrator, then for each tensor its name
//! and the width of a step, range / 127, as the bits of a float in hexadecimal.

use std::collections::BTreeMap;

use tfjet_core::Quantization;

use super::{CalibrateError, Table, TableEntry};

const HEAD: &str = "TRT-";
const CALIBRATOR: &str = "EntropyCalibration2";

impl Table {
    /// Reads a table of tfjet's or a calibration cache of TensorRT's, told by the first line; `file`
    /// names it in errors.
    ///
    /// # Errors
    /// Those of [`Table::from_text`] and [`Table::from_tensorrt_cache`].
    pub fn read(text: &str, file: &str) -> Result<Self, CalibrateError> {
        match text.starts_with(HEAD) {
            true => Self::from_tensorrt_cache(text, file),
            false => Self::from_text(text, file),
        }
    }

    /// Reads TensorRT's calibration cache; `file` names it in errors.
    ///
    /// It does not say of which model it is nor what was seen. Its tensors have no segment: each
    /// stands for those of its name in every segment.
    ///
    /// # Errors
    /// The first line that is none of a cache.
    pub fn from_tensorrt_cache(text: &str, file: &str) -> Result<Self, CalibrateError> {
        let mut lines = (1..).zip(text.lines());
        let head = lines.next().and_then(|(_, line)| line.strip_prefix(HEAD));
        let Some(head) = head else {
            return Err(CalibrateError::NoTable { file: file.into() });
        };
        let method = match head.trim_end().split_once('-') {
            Some((release, method)) if release.bytes().all(|byte| byte.is_ascii_digit()) => method,
            _ => {
                let reason = format!("`{HEAD}{head}` does not name a release and a calibrator");
                return Err(CalibrateError::damaged(file, 1, reason));
            }
        };
        let mut tensors = BTreeMap::new();
        for (number, line) in lines {
            if line.trim().is_empty() {
                continue;
            }
            let (name, entry) =
                entry(line).map_err(|reason| CalibrateError::damaged(file, number, reason))?;
            if tensors.insert(name.to_owned(), entry).is_some() {
                let reason = format!("a second line for tensor `{name}`");
                return Err(CalibrateError::damaged(file, number, reason));
            }
        }
        Ok(Self {
            method: method.into(),
            tensors,
            ..Self::default()
        })
    }

    /// TensorRT's calibration cache of these ranges, as the release `version` writes it (8502 is
    /// 8.5.2, 100300 is 10.3.0), for an `IInt8EntropyCalibrator2`, whichever method chose them.
    ///
    /// It has names without segments: of tensors of one name it gives the widest range. Tensors
    /// without a range are left out.
    pub fn to_tensorrt_cache(&self, version: u32) -> String {
        let mut ranges: BTreeMap<&str, f32> = BTreeMap::new();
        for (name, entry) in &self.tensors {
            let name = match self.model.is_empty() {
                true => name,
                false => name.split_once('/').map_or(name.as_str(), |(_, name)| name),
            };
            if let Some(range) = entry.range {
                let widest = ranges.entry(name).or_insert(range);
                *widest = widest.max(range);
            }
        }
        let mut text = format!("{HEAD}{version}-{CALIBRATOR}\n");
        for (name, range) in ranges {
            let step = range / Quantization::LARGEST;
            text.push_str(&format!("{name}: {:08x}\n", step.to_bits()));
        }
        text
    }
}

fn entry(line: &str) -> Result<(&str, TableEntry), String> {
    let Some((name, bits)) = line.trim_end().rsplit_once(": ") else {
        return Err("this is no `name: hexadecimal number`".into());
    };
    let bits = match u32::from_str_radix(bits, 16) {
        Ok(number) if bits.len() <= 8 && !bits.starts_with('+') => number,
        _ => return Err(format!("`{bits}` are no bits of a float in hexadecimal")),
    };
    let step = f32::from_bits(bits);
    let range = range_of(step);
    if step.is_sign_negative() || !range.is_finite() {
        return Err(format!("tensor `{name}`: {step} is no width of a step"));
    }
    let entry = TableEntry {
        range: (range > 0.0).then_some(range),
        min: -range,
        max: range,
        ..TableEntry::default()
    };
    Ok((name, entry))
}

/// The range whose 127th part is `step`, rounded as TensorRT rounds it.
fn range_of(step: f32) -> f32 {
    let near = step * Quantization::LARGEST;
    [near, near.next_up(), near.next_down()]
        .into_iter()
        .find(|range| range / Quantization::LARGEST == step)
        .unwrap_or(near)
}

#[cfg(test)]
mod tests;
