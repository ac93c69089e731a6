//! The files of the dashboard, in the binary.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A file of the dashboard.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its path in this folder.
    pub path: &'static str,
    /// What is in it.
    pub body: &'static str,
}

macro_rules! assets {
    ($($path:literal),+ $(,)?) => { &[$(Asset { path: $path, body: include_str!($path) }),+] };
}

/// All of them. Styles come in the order in which they apply.
pub const ASSETS: &[Asset] = assets![
    "style/base.css",
    "style/frame.css",
    "style/graph.css",
    "style/controls.css",
    "style/lists.css",
    "style/chart.css",
    "style/views.css",
    "app.js",
    "icon.svg",
    "lib/api.js",
    "lib/clock.js",
    "lib/dom.js",
    "lib/format.js",
    "lib/live.js",
    "lib/route.js",
    "parts/actions.js",
    "parts/chart.js",
    "parts/code.js",
    "parts/command.js",
    "parts/copy.js",
    "parts/dialog.js",
    "parts/draft.js",
    "parts/filters.js",
    "parts/finding.js",
    "parts/frame.js",
    "parts/graph.js",
    "parts/grid.js",
    "parts/icon.js",
    "parts/jobs.js",
    "parts/keys.js",
    "parts/meter.js",
    "parts/notice.js",
    "parts/pages.js",
    "parts/scale.js",
    "parts/selection.js",
    "parts/series.js",
    "parts/state.js",
    "parts/table.js",
    "parts/time.js",
    "parts/timeline.js",
    "parts/waiting.js",
    "theme.js",
    "views/audit.js",
    "views/dead.js",
    "views/letter.js",
    "views/overview.js",
    "views/queue.js",
    "views/queues.js",
    "views/schedules.js",
    "views/task.js",
    "views/tasks.js",
    "views/workers.js",
    "views/workflow.js",
    "views/workflows.js",
];

impl Asset {
    /// By its path.
    pub fn find(path: &str) -> Option<Self> {
        ASSETS.iter().copied().find(|asset| asset.path == path)
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self.path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some(_) | None => "text/javascript; charset=utf-8",
        }
    }

    /// Whether it is a style.
    pub fn is_style(self) -> bool {
        self.path.starts_with("style/")
    }

    /// Whether it is a module that the page's own script imports, so that a browser may fetch it at once.
    pub fn is_imported(self) -> bool {
        self.path.contains('/') && !self.is_style()
    }
}

/// A name for exactly these files: another build with other files has another.
pub fn version(page: &str) -> String {
    let mut hasher = DefaultHasher::new();
    page.hash(&mut hasher);
    for asset in ASSETS {
        (asset.path, asset.body).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn files(folder: &Path, into: &mut BTreeSet<String>, root: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, into, root);
            } else if !path.extension().is_some_and(|extension| extension == "rs" || extension == "html") {
                into.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_is_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard");
        let mut there = BTreeSet::new();
        files(&root, &mut there, &root);
        let listed: BTreeSet<_> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(listed, there);
        assert_eq!(listed.len(), ASSETS.len());
    }

    #[test]
    fn every_import_leads_to_a_file() {
        for asset in ASSETS.iter().filter(|asset| asset.media_type().starts_with("text/javascript")) {
            let folder = Path::new(asset.path).parent().unwrap();
            for line in asset.body.lines() {
                let import = line.strip_suffix("\";").and_then(|line| line.split_once("from \""));
                let Some((_, target)) = import else { continue };
                let mut path = folder.to_owned();
                for part in target.split('/') {
                    match part {
                        "." => {}
                        ".." => assert!(path.pop(), "{}: {line}", asset.path),
                        name => path.push(name),
                    }
                }
                assert!(Asset::find(path.to_str().unwrap()).is_some(), "{}: {line}", asset.path);
            }
        }
    }

    #[test]
    fn nothing_makes_markup_of_data() {
        // The page's policy forbids it as well, but only to browsers that know trusted types.
        for asset in ASSETS.iter().filter(|asset| asset.media_type().starts_with("text/javascript")) {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!asset.body.contains(forbidden), "{}: {forbidden}", asset.path);
            }
        }
    }
}
