//! From the name of a model to its directory in the cache.

use std::path::PathBuf;

use super::cache::Cache;
use super::client::Client;
use super::files::{self, CONFIGS, Snapshot};
use super::progress::Reporter;
use super::remote::{Listing, RemoteFile};
use super::{HubOptions, HubProblem, ResolveOptions};
use crate::Error;
use crate::checkpoint::weights_names;

/// The directory of the model, after what is missing has been got.
pub(super) fn resolve(
    repository: &str,
    revision: &str,
    options: &ResolveOptions<'_>,
) -> Result<PathBuf, Error> {
    let from_env;
    let hub = match &options.hub {
        Some(hub) => hub,
        None => {
            from_env = HubOptions::from_env()?;
            &from_env
        }
    };
    let cache = Cache::new(&hub.cache, repository, hub.copies);
    let known = cache.commit(revision);
    let known = known.as_deref().map(|commit| Snapshot {
        cache: &cache,
        commit,
    });
    let weighty = !options.without_weights;
    let usable = known
        .as_ref()
        .filter(|snapshot| snapshot.is_usable(weighty));
    let asks = options.refresh && !hub.offline;
    let whole = usable.filter(|snapshot| hub.offline || snapshot.is_whole(weighty));
    if let Some(snapshot) = whole.filter(|_| !asks) {
        return Ok(cache.snapshot(snapshot.commit));
    }
    let reporter = Reporter::new(options);
    let client = Client::new(repository, hub, &reporter)?;
    if hub.offline {
        let cache = cache.folder().to_owned();
        return Err(client.error("", HubProblem::Offline { cache }));
    }
    // A branch stays where it was when it was first got.
    let wanted = match usable {
        Some(snapshot) if !asks => snapshot.commit,
        _ => revision,
    };
    let listing = match (client.listing(repository, wanted), usable) {
        // Whether the hub has something more cannot be told; what is here is a model.
        (Err(Error::Hub { .. }), Some(snapshot)) => return Ok(cache.snapshot(snapshot.commit)),
        (listing, _) => listing?,
    };
    let get = Get {
        repository,
        client: &client,
        snapshot: Snapshot {
            cache: &cache,
            commit: &listing.commit,
        },
    };
    get.all(&listing, weighty)?;
    cache.set_commit(revision, &listing.commit)?;
    Ok(cache.snapshot(&listing.commit))
}

/// Gets the files of one commit.
struct Get<'a> {
    repository: &'a str,
    client: &'a Client<'a>,
    snapshot: Snapshot<'a>,
}

impl Get<'_> {
    /// Gets what is missing. The weights come last: a directory that has them has everything.
    fn all(&self, listing: &Listing, weighty: bool) -> Result<(), Error> {
        let missing = |name: &str| self.client.error(name, HubProblem::NotFound);
        if !CONFIGS.iter().any(|&name| listing.files.contains(name)) {
            return Err(missing(&CONFIGS.join(" or ")));
        }
        let weights = files::weights(|name| listing.files.contains(name)).filter(|_| weighty);
        if weighty && weights.is_none() {
            let names: Vec<&str> = weights_names().map(|(name, _)| name).collect();
            return Err(missing(&names.join(" or ")));
        }

        let mut wanted = Vec::new();
        for name in files::companions().filter(|&name| listing.files.contains(name)) {
            wanted.extend(self.missing(name)?);
        }
        if !CONFIGS
            .iter()
            .any(|name| self.snapshot.has(name) || is_among(&wanted, name))
        {
            return Err(missing(&CONFIGS.join(" or ")));
        }
        if let Some(weights) = weights {
            wanted.extend(self.needed(weights.name)?);
            if weights.is_index {
                self.download(wanted.pop_if(|file| file.name == weights.name))?;
                let index = self.snapshot.cache.snapshot(self.snapshot.commit);
                for shard in files::shards(&index.join(weights.name))? {
                    wanted.extend(self.needed(&shard)?);
                }
            }
        }
        self.download(wanted)?;
        self.snapshot.note_absent(listing)
    }

    /// A file that the cache lacks; none where it is there.
    fn needed(&self, name: &str) -> Result<Option<RemoteFile>, Error> {
        if self.snapshot.has(name) {
            return Ok(None);
        }
        let about = self
            .client
            .about(self.repository, self.snapshot.commit, name);
        about.map(Some)
    }

    /// As [`Get::needed`], for a file that the repository may lack after all.
    fn missing(&self, name: &str) -> Result<Option<RemoteFile>, Error> {
        match self.needed(name) {
            Err(Error::Hub {
                problem: HubProblem::NotFound,
                ..
            }) => {
                self.snapshot.cache.set_absent(self.snapshot.commit, name)?;
                Ok(None)
            }
            other => other,
        }
    }

    fn download(&self, files: impl IntoIterator<Item = RemoteFile>) -> Result<(), Error> {
        let files: Vec<RemoteFile> = files.into_iter().collect();
        for file in &files {
            self.client.reporter.expect(file.size);
        }
        for file in &files {
            let address = self
                .client
                .file_address(self.repository, &file.commit, &file.name);
            self.client.download(self.snapshot.cache, &address, file)?;
        }
        Ok(())
    }
}

fn is_among(files: &[RemoteFile], name: &str) -> bool {
    files.iter().any(|file| file.name == name)
}
