use std::fs;
use std::path::{Path, PathBuf};

/// Memory that is free for a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryAvailable {
    /// Bytes of the host's memory; `None` where the system does not say.
    pub host: Option<u64>,
    /// Bytes of the memory of a discrete GPU; `None` where it shares the host's, or there is none.
    pub device: Option<u64>,
}

impl MemoryAvailable {
    /// The host's: what the system could give without swapping, and no more than the control
    /// groups of this process leave.
    pub fn of_host() -> Self {
        Self {
            host: host(Path::new("/")),
            device: None,
        }
    }
}

/// Bytes of its own that this process holds: without pages of files, which the system can drop.
pub(super) fn program_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    kib_line(&status, "RssAnon:")
}

fn host(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok();
    let system = meminfo.and_then(|text| kib_line(&text, "MemAvailable:"));
    system.into_iter().chain(group(root)).min()
}

/// The line `KEY   123 kB`, in bytes.
fn kib_line(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// How a version of control groups names things.
struct Names {
    mount: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Line of `memory.stat` with the pages of files.
    cache: &'static str,
}

const V2: Names = Names {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    cache: "file ",
};

const V1: Names = Names {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: "total_cache ",
};

/// What the limits of this process's control group and of those around it leave.
fn group(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let lines = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let mut controllers = controllers.split(',');
        match (id, controllers.any(|it| it == "memory")) {
            (_, true) => Some((V1, path)),
            ("0", false) => Some((V2, path)),
            _ => None,
        }
    });
    let left = lines.flat_map(|(names, path)| {
        let mount = root.join(names.mount);
        let group = mount.join(path.trim_start_matches('/'));
        let inside = group.starts_with(&mount) && !path.contains("..");
        let folders: Vec<PathBuf> = match inside {
            true => group.ancestors().map(Path::to_path_buf).collect(),
            false => Vec::new(),
        };
        let folders = folders
            .into_iter()
            .take_while(move |it| it.starts_with(&mount));
        let left: Vec<u64> = folders.filter_map(|folder| left(&folder, &names)).collect();
        left
    });
    left.min()
}

fn left(folder: &Path, names: &Names) -> Option<u64> {
    let number = |file: &str| -> Option<u64> {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        text.trim().parse().ok()
    };
    let limit = number(names.limit)?;
    let usage = number(names.usage)?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix(names.cache));
    let cache = cache.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        host(folder.path())
    }

    #[test]
    fn the_least_of_system_and_groups_is_free() {
        let meminfo = (
            "proc/meminfo",
            "MemTotal: 4096000 kB\nMemFree: 1 kB\nMemAvailable:    1048576 kB\n",
        );
        let v2 = ("proc/self/cgroup", "0::/system.slice/tfjet.service\n");
        let service = "sys/fs/cgroup/system.slice/tfjet.service";
        let file = |name: &str| format!("{service}/{name}");
        let (max, current, stat) = (
            file("memory.max"),
            file("memory.current"),
            file("memory.stat"),
        );
        assert_eq!(machine(&[]), None);
        assert_eq!(machine(&[meminfo]), Some(1024 * MIB));
        let unlimited = [meminfo, v2, (&*max, "max\n"), (&*current, "1000\n")];
        assert_eq!(machine(&unlimited), Some(1024 * MIB));
        let limited = [
            meminfo,
            v2,
            (&*max, "536870912\n"),
            (&*current, "209715200\n"),
            (&*stat, "anon 104857600\nfile 104857600\n"),
        ];
        assert_eq!(machine(&limited), Some((512 - 100) * MIB));
        let mut nested = limited.to_vec();
        nested.push(("sys/fs/cgroup/system.slice/memory.max", "104857600\n"));
        nested.push(("sys/fs/cgroup/system.slice/memory.current", "209715200\n"));
        assert_eq!(machine(&nested), Some(0));
        let old = [
            meminfo,
            ("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/b\n0::/c\n"),
            (
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "209715200\n",
            ),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "104857600"),
        ];
        assert_eq!(machine(&old), Some(100 * MIB));
    }

    #[test]
    fn this_system_says_what_there_is() {
        if !Path::new("/proc/meminfo").exists() {
            return;
        }
        assert!(MemoryAvailable::of_host().host.is_some_and(|it| it > 0));
        assert!(program_bytes().is_some_and(|it| it > 0));
    }
}
