//! What people saw in pixel-subsets.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Damage, json_file};
use overinterp_spec::Fraction;
use overinterp_workflow::stage::{Artifact, ArtifactError};

const FILE: &str = "answers.json";

/// What one sheet of answers says of the subsets of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HumanAnswers {
    /// The share of the pixels that was shown.
    pub keep: Fraction,
    /// Classes to choose from; chance is one over it.
    pub classes: usize,
    /// The pictures, in the order of the key.
    pub pictures: Vec<AnsweredPicture>,
}

/// One picture, and what was written beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AnsweredPicture {
    /// The image's number within its split.
    pub image: usize,
    /// Its true class.
    pub label: u16,
    /// The class answered; none if nothing was.
    pub answer: Option<u16>,
}

impl HumanAnswers {
    /// Pictures with an answer.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.pictures.iter().filter(|picture| picture.answer.is_some()).count()
    }

    /// Share of right answers among those given; none if none was given.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.pictures.iter().filter(|picture| picture.answer == Some(picture.label)).count();
        let answered = self.answered();
        (answered > 0).then(|| right as f64 / answered as f64)
    }
}

impl Artifact for HumanAnswers {
    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        json_file::write(&dir.join(FILE), self)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        json_file::read(&dir.join(FILE), |answers: &Self| {
            let beyond = |class: &u16| usize::from(*class) >= answers.classes;
            let mut named = answers.pictures.iter().flat_map(|picture| [Some(picture.label), picture.answer]).flatten();
            match named.find(beyond) {
                None => Ok(()),
                Some(class) => Err(Damage::value(format_args!("it names class {class} of {}", answers.classes))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(given: &[Option<u16>]) -> HumanAnswers {
        let picture = |(image, &answer)| AnsweredPicture { image, label: 1, answer };
        let pictures = given.iter().enumerate().map(picture).collect();
        HumanAnswers { keep: Fraction::try_from(0.05).unwrap(), classes: 3, pictures }
    }

    #[test]
    fn accuracy_is_that_of_the_answers_given() {
        let some = answers(&[Some(1), None, Some(2), Some(1)]);
        assert_eq!((some.answered(), some.accuracy()), (3, Some(2.0 / 3.0)));
        assert_eq!(answers(&[None, None]).accuracy(), None);
    }

    #[test]
    fn answers_come_back_and_a_class_beyond_the_last_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let some = answers(&[Some(1), None]);
        some.save(dir.path()).unwrap();
        assert_eq!(HumanAnswers::load(dir.path()).unwrap(), some);
        answers(&[Some(3)]).save(dir.path()).unwrap();
        assert!(HumanAnswers::load(dir.path()).is_err());
    }
}
