//! Captioning and tagging a folder of pictures: the whole of `lora-wgpu label`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, bail};

use crate::{
    data::{
        folder::PictureFolder,
        image::decode,
        names::{counted, file_name},
        resize::RgbPicture,
    },
    gpu::Gpu,
};

use super::{
    captioning::caption_pictures,
    job::{Event, LabelJob, Place, Summary, Watch},
    page::{self, PageEntry},
    picture_names::PictureNames,
    store::CaptionStore,
    tag_table::{TagTable, tag_table_path},
    tagging::tag_pictures,
    tags::near_duplicates,
};

/// Cosine of two pictures' CLIP vectors from which on they count as nearly the same.
const NEARLY_THE_SAME: f32 = 0.97;

/// A job whose pictures are listed and whose captions so far are read.
pub struct Labelling {
    job: LabelJob,
    folder: PictureFolder,
    names: PictureNames,
    store: CaptionStore,
    /// Where there is a tagger.
    tags: Option<TagTable>,
    /// Pictures that are nearly the same as others.
    near: BTreeMap<usize, Vec<String>>,
    summary: Summary,
}

impl Labelling {
    /// Lists the pictures and reads what captions and tags there are.
    ///
    /// # Errors
    /// No pictures; a table that cannot be read, or names a picture twice.
    pub fn open(job: LabelJob) -> Result<Self> {
        let folder = PictureFolder::list(&job.pictures, 1)?;
        folder.ensure_pictures()?;
        let names = PictureNames::of(&folder)?;
        let store = match &job.place {
            Place::Table(path) => CaptionStore::table(path, &names)?,
            Place::Sidecars => CaptionStore::sidecars(&folder)?,
        };
        let tags = job.tagger.as_ref().map(|_| TagTable::open(&tag_table(&job), &names)).transpose()?;
        Ok(Self { job, folder, names, store, tags, near: BTreeMap::new(), summary: Summary::default() })
    }

    /// What the user should know before the run.
    pub fn notes(&self) -> Vec<String> {
        let (all, missing) = (self.names.len(), self.uncaptioned().len());
        let kept = match all - missing {
            0 => String::new(),
            kept => format!("; {kept} of them have captions, which are kept (--overwrite makes them anew)"),
        };
        let mut notes = vec![format!("{all} pictures in {}{kept}", self.folder.root.display())];
        if let Some(tags) = &self.tags
            && self.untagged().len() < all
        {
            let kept = (0..all).filter(|&index| tags.tags(index).is_some()).count();
            notes.push(format!("{kept} of them have tags, which are kept too, whatever list they were chosen from"));
        }
        let inner = self.folder.unread_folders.iter().map(|folder| file_name(folder)).collect();
        notes.extend(counted("inner folders that are not read", inner));
        notes.extend(self.store.notes(&self.folder));
        notes.extend(self.job.wording.replacements.notes.iter().cloned());
        let tags = self.job.tagger.iter().filter_map(|tagger| tagger.tags.encoding);
        notes.extend(tags.map(|encoding| format!("the list of tags was read as {encoding}")));
        notes
    }

    /// Whether there is anything to compute.
    pub fn needs_device(&self) -> bool {
        !self.uncaptioned().is_empty() || !self.untagged().is_empty()
    }

    /// Tags, then captions; each picture's are saved as soon as they are made.
    ///
    /// # Errors
    /// A model that does not fit together, trouble with the disk or the device. A picture that cannot be used is no
    /// error: the summary names it.
    pub fn compute(&mut self, gpu: &Gpu, watch: &mut Watch<'_>) -> Result<()> {
        self.tag(gpu, watch)?;
        self.caption(gpu, watch)
    }

    /// Writes the page on which captions are corrected, unless the run was stopped, and sums up.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn finish(mut self, watch: &mut Watch<'_>) -> Result<Summary> {
        let mut files = vec![];
        if let Place::Table(table) = &self.job.place {
            let (table, page) = (table.clone(), table.with_extension("html"));
            if !self.summary.stopped {
                self.write_page(&page, watch)?;
            }
            files = vec![table, page];
        }
        files.extend(self.tags.is_some().then(|| tag_table(&self.job)));
        files.retain(|file| file.exists());
        if !self.summary.stopped {
            self.store.finish()?;
        }
        Ok(Summary { files, ..self.summary })
    }

    fn uncaptioned(&self) -> Vec<usize> {
        self.store.missing(self.names.len(), self.job.overwrite)
    }

    fn untagged(&self) -> Vec<usize> {
        let Some(tags) = &self.tags else { return vec![] };
        (0..self.names.len()).filter(|&index| self.job.overwrite || tags.tags(index).is_none()).collect()
    }

    fn tag(&mut self, gpu: &Gpu, watch: &mut Watch<'_>) -> Result<()> {
        let wanted = self.untagged();
        let (Some(job), Some(table)) = (&self.job.tagger, &mut self.tags) else { return Ok(()) };
        if wanted.is_empty() {
            return Ok(());
        }
        let (names, summary) = (&self.names, &mut self.summary);
        let mut vectors: Vec<(usize, Vec<f32>)> = Vec::new();
        let result = tag_pictures(gpu, job, &paths(&self.folder, &wanted), watch, |index, tagged, watch| {
            match tagged {
                Ok(tagged) => {
                    table.set(index, tagged.tags);
                    table.save()?;
                    vectors.push((index, tagged.vector));
                }
                Err(unusable) => summary.fail(names.name(index), &unusable, watch),
            }
            goes_on(watch)
        });
        summary.settle(result)?;
        let _ = watch(Event::Ends);
        self.note_near_duplicates(&vectors, watch);
        Ok(())
    }

    fn note_near_duplicates(&mut self, vectors: &[(usize, Vec<f32>)], watch: &mut Watch<'_>) {
        let embeddings: Vec<Vec<f32>> = vectors.iter().map(|(_, vector)| vector.clone()).collect();
        let mut pairs = Vec::new();
        for (left, right, _) in near_duplicates(&embeddings, NEARLY_THE_SAME) {
            let pair = [vectors[left].0, vectors[right].0];
            let [left, right] = pair.map(|index| self.names.name(index).to_owned());
            pairs.push(format!("{left} and {right}"));
            self.near.entry(pair[0]).or_default().push(right);
            self.near.entry(pair[1]).or_default().push(left);
        }
        if let Some(line) = counted("note: pictures that are nearly the same", pairs) {
            let _ = watch(Event::Line(&line));
        }
    }

    fn caption(&mut self, gpu: &Gpu, watch: &mut Watch<'_>) -> Result<()> {
        let wanted = self.uncaptioned();
        if wanted.is_empty() || self.summary.stopped {
            return Ok(());
        }
        let Self { job, folder, names, store, tags, summary, .. } = self;
        let _ = watch(Event::Begins("pictures captioned", wanted.len()));
        let result = caption_pictures(gpu, &job.captioner, &paths(folder, &wanted), |index, words| {
            match words {
                Ok(words) => {
                    let tags = tags.as_ref().and_then(|tags| tags.tags(index)).unwrap_or_default();
                    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                    store.set(index, job.wording.caption(&words, &tags));
                    store.save()?;
                    summary.captions += 1;
                }
                Err(unusable) => summary.fail(names.name(index), &unusable, watch),
            }
            goes_on(watch)
        });
        summary.settle(result)?;
        let _ = watch(Event::Ends);
        Ok(())
    }

    /// Writes the page. A picture that cannot be decoded stands there as a grey square, for its caption is not to be
    /// lost.
    fn write_page(&mut self, path: &Path, watch: &mut Watch<'_>) -> Result<()> {
        let _ = watch(Event::Begins("pictures put on the page", self.names.len()));
        let mut summary = std::mem::take(&mut self.summary);
        let mut entries = (0..self.names.len()).map(|index| {
            let picture = decode(&self.folder.pictures[index].path).unwrap_or_else(|unusable| {
                summary.fail(self.names.name(index), &unusable, watch);
                RgbPicture { width: 1, height: 1, rgb: vec![128; 3] }
            });
            let _ = watch(Event::Done(1));
            Ok(self.entry(index, picture))
        });
        page::write(path, &mut entries, &self.store.other_rows())?;
        self.summary = summary;
        let _ = watch(Event::Ends);
        Ok(())
    }

    fn entry(&self, index: usize, picture: RgbPicture) -> PageEntry {
        PageEntry {
            file_name: self.names.name(index).to_owned(),
            caption: self.store.caption(index).unwrap_or_default().to_owned(),
            tags: self.tags_with_chinese(index),
            near: self.near.get(&index).cloned().unwrap_or_default(),
            picture,
        }
    }

    fn tags_with_chinese(&self, index: usize) -> Vec<(String, String)> {
        let (Some(job), Some(table)) = (&self.job.tagger, &self.tags) else { return vec![] };
        let tags = table.tags(index).unwrap_or_default();
        tags.iter().map(|tag| (tag.clone(), job.tags.chinese(tag).to_owned())).collect()
    }
}

impl Summary {
    fn fail(&mut self, name: &str, error: &Error, watch: &mut Watch<'_>) {
        let reason = format!("{error:#}");
        if self.failed.insert(name.to_owned(), reason.clone()).is_none() {
            let _ = watch(Event::Line(&format!("{name} is left out: {reason}")));
        }
    }

    /// A run that the user stopped has come to its end all the same.
    fn settle(&mut self, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if error.is::<Stopped>() => {
                self.stopped = true;
                Ok(())
            }
            other => other,
        }
    }
}

/// The user wants no further picture.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

fn goes_on(watch: &mut Watch<'_>) -> Result<()> {
    match watch(Event::Done(1)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => bail!(Stopped),
    }
}

fn paths<'a>(folder: &'a PictureFolder, wanted: &[usize]) -> Vec<(usize, &'a Path)> {
    wanted.iter().map(|&index| (index, folder.pictures[index].path.as_path())).collect()
}

/// Where the job's tags are kept: beside the table of captions, or in the folder of pictures.
fn tag_table(job: &LabelJob) -> PathBuf {
    match &job.place {
        Place::Table(path) => tag_table_path(path),
        Place::Sidecars => tag_table_path(&job.pictures.join("metadata.csv")),
    }
}
