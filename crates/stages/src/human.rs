//! `human`: what people saw in the subsets of a `mask` stage, from the sheet in which they answered.

use std::path::PathBuf;

use serde::Serialize;

use overinterp_artifacts::{AnsweredPicture, HumanAnswers, ImageSet, Subsets};
use overinterp_data::study::{AnswerRow, KeyRow, StudyError, fingerprint, read_key, read_sheet};
use overinterp_nn::images::appearance::picture;
use overinterp_spec::Fraction;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::named_files::{FileKind, read_unchanged};
use super::{Env, Images};

/// More classes than this are not listed in a message.
const MOST_LISTED: usize = 20;

/// The manifest of a `human` step: the answers to the pictures of one set of subsets.
#[derive(Debug, Serialize)]
pub struct Human {
    /// The BLAKE3 of the answer sheet; a placeholder while it is absent.
    pub answers: String,
    /// That of the key.
    pub key: String,
    /// What was shown.
    pub images: Images,
    /// How many of an image's pixels were.
    pub keep: Fraction,
    /// Where the sheet lies.
    #[serde(skip)]
    pub answers_file: PathBuf,
    /// Where the key lies.
    #[serde(skip)]
    pub key_file: PathBuf,
}

impl Stage<Env> for Human {
    const KIND: &'static str = "human";
    const VERSION: u32 = 1;
    type Output = HumanAnswers;

    fn inputs(&self) -> Vec<StepKey> {
        self.images.inputs().into_iter().collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<HumanAnswers, StageError> {
        let (images, subsets) = self.images.load(context)?;
        let subsets = subsets.ok_or_else(|| StageError::failed("cannot score answers: these images are no subsets"))?;
        let key = read_unchanged(&self.key_file, &self.key, FileKind::AnswerKey)?;
        let key = read_key(&self.key_file, &key)?;
        let sheet = read_unchanged(&self.answers_file, &self.answers, FileKind::Answers)?;
        let sheet = read_sheet(&self.answers_file, &sheet)?;
        let mut rows: Vec<(&KeyRow, Option<u16>)> = key.values().map(|row| (row, None)).collect();
        for answer in &sheet {
            let answered = rows.iter_mut().find(|(row, _)| row.file == answer.file);
            let (_, given) = answered.ok_or_else(|| self.unknown_picture(answer))?;
            *given = self.class_of(answer, &images.classes)?;
        }
        let shown: Vec<(&KeyRow, Option<u16>)> =
            rows.into_iter().filter(|(row, _)| row.fraction == self.keep).collect();
        if shown.is_empty() {
            let (key, keep) = (self.key_file.display(), self.keep.get());
            let problem = format!(
                "{key} has no picture of {keep} of the pixels: export the study anew, or sweep over the fractions that it shows"
            );
            return Err(StageError::failed(problem));
        }
        let mut pictures = Vec::with_capacity(shown.len());
        for (row, answer) in shown {
            if context.cancelled() {
                return Err(StageError::Cancelled);
            }
            pictures.push(self.picture(row, answer, &images, &subsets)?);
        }
        Ok(HumanAnswers { keep: self.keep, classes: images.classes.len(), pictures })
    }
}

impl Human {
    /// A picture with its answer, if it shows what the subsets leave of the image now.
    fn picture(
        &self,
        row: &KeyRow,
        answer: Option<u16>,
        images: &ImageSet,
        subsets: &Subsets,
    ) -> Result<AnsweredPicture, StageError> {
        let other = |what: String| {
            let problem = format!("{what}: the study was made of other subsets than these");
            Err(StageError::failed(StudyError::new(&self.key_file, row.line, problem)))
        };
        if row.image >= images.len().min(subsets.len()) {
            return other(format!("there is no image {}", row.image));
        }
        let label = images.labels[row.image];
        let class = &images.classes[usize::from(label)];
        if *class != row.label {
            return other(format!("image {} is of class `{class}`, not `{}`", row.image, row.label));
        }
        let seen = picture(images, subsets, row.image)?;
        if fingerprint(&seen) != row.shown {
            return other(format!("another picture of image {} was shown", row.image));
        }
        Ok(AnsweredPicture { image: row.image, label, answer })
    }

    fn unknown_picture(&self, answer: &AnswerRow) -> StudyError {
        let problem = format!("there is no picture `{}` in {}", answer.file, self.key_file.display());
        StudyError::new(&self.answers_file, answer.line, problem)
    }

    /// The class that was answered, whatever its case; none if nothing was.
    fn class_of(&self, answer: &AnswerRow, classes: &[String]) -> Result<Option<u16>, StudyError> {
        let text = answer.answer.as_str();
        if text.is_empty() {
            return Ok(None);
        }
        let lower = text.to_lowercase();
        let place = classes.iter().position(|class| class == text);
        let place = place.or_else(|| classes.iter().position(|class| class.to_lowercase() == lower));
        let class = place.ok_or_else(|| {
            let listed: Vec<&str> = classes.iter().take(MOST_LISTED).map(String::as_str).collect();
            let more = if classes.len() > MOST_LISTED { ", ..." } else { "" };
            let problem = format!("there is no class `{text}`; there are {}{more}", listed.join(", "));
            StudyError::new(&self.answers_file, answer.line, problem)
        })?;
        Ok(Some(class as u16))
    }
}
