//! What is known of the official data sets: classes, normalisation, addresses, checksums.

use overinterp_spec::{DataKind, Normalise, Split};

use super::content::Provenance;
use super::{cifar10c, photographs};

/// The facts about a published data set.
#[derive(Debug)]
pub struct Official {
    /// The `kind` that experiment files give it: `cifar10`.
    pub kind: DataKind,
    /// Its name as its authors write it.
    pub title: &'static str,
    /// Its home page.
    pub page: &'static str,
    /// Classes by label.
    pub classes: &'static [&'static str],
    /// Per-channel mean over 0..=255.
    mean: &'static [f64],
    /// Per-channel deviation over 0..=255.
    std: &'static [f64],
    /// Where the files are, the authors' own address first; each ends in a slash.
    pub addresses: &'static [&'static str],
    /// What is downloaded.
    pub downloads: &'static [Download],
    /// MD5s of the files as the loader reads them (uncompressed, out of their archive, in order), of each form in which
    /// the data set is published.
    forms: &'static [Checksums],
    /// Debian's package, if there is one; its files lie in `/usr/share/datasets/NAME`.
    pub debian_package: Option<&'static str>,
}

/// MD5s of the files of both splits.
#[derive(Debug)]
struct Checksums {
    train: &'static [&'static str],
    test: &'static [&'static str],
}

/// A file that is downloaded, and used as it is.
#[derive(Debug)]
pub struct Download {
    /// Its name, at the address and on disk.
    pub file: &'static str,
    /// Its published MD5.
    pub md5: &'static str,
}

/// The facts about that kind; none are known of folders.
#[must_use]
pub const fn official(kind: DataKind) -> Option<&'static Official> {
    match kind {
        DataKind::Cifar10 => Some(&CIFAR10),
        DataKind::Cifar100 => Some(&CIFAR100),
        DataKind::Cifar10C => Some(&CIFAR10_C),
        DataKind::FashionMnist => Some(&FASHION_MNIST),
        DataKind::Mnist => Some(&MNIST),
        DataKind::Folder | DataKind::ImageFolder(_) => None,
    }
}

/// The data set of which files with these MD5s are a split, and whether they are all of it.
pub(super) fn published(split: Split, checksums: &[String]) -> Option<(&'static Official, Provenance)> {
    if checksums == fashion_mnist_small(split) {
        return Some((&FASHION_MNIST, Provenance::Excerpt));
    }
    let all = DataKind::ALL.iter().filter_map(|(_, kind)| official(*kind));
    let mut found = all.filter(|official| official.checksums(split).iter().any(|published| checksums == *published));
    found.next().map(|official| (official, Provenance::Official))
}

/// How images of that kind are normalised unless a model says otherwise; none where it is measured on them.
#[must_use]
pub fn normalise_of(kind: DataKind) -> Option<Normalise> {
    match kind {
        DataKind::ImageFolder(_) => Some(photographs::normalise()),
        _ => official(kind).map(Official::normalise),
    }
}

impl Official {
    /// How bytes become a network's input.
    #[must_use]
    pub fn normalise(&self) -> Normalise {
        Normalise { mean: self.mean.to_vec(), std: self.std.to_vec() }
    }

    /// Published MD5s of a split's files as the loader reads them, of each form in which they are published.
    pub(super) fn checksums(&self, split: Split) -> Vec<&'static [&'static str]> {
        let of_split = |form: &Checksums| if split == Split::Train { form.train } else { form.test };
        self.forms.iter().map(of_split).collect()
    }
}

/// Normalisation of both CIFARs in the authors' code (`docs/method.md`, section 2).
const CIFAR_MEAN: [f64; 3] = [125.3, 123.0, 113.9];
const CIFAR_STD: [f64; 3] = [63.0, 62.1, 66.7];

/// Archive checksum: the data set's page. File checksums: those with which published build scripts check the
/// extracted files, and torchvision the pickled ones.
const CIFAR10: Official = Official {
    kind: DataKind::Cifar10,
    title: "CIFAR-10",
    page: "https://www.cs.toronto.edu/~kriz/cifar.html",
    classes: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    mean: &CIFAR_MEAN,
    std: &CIFAR_STD,
    addresses: &["https://www.cs.toronto.edu/~kriz/"],
    downloads: &[Download { file: "cifar-10-binary.tar.gz", md5: "c32a1d4ab5d03f1284b67883e8d87530" }],
    forms: &[
        Checksums {
            train: &[
                "5dd7e06a14cb22eb9f671a540d1b7c25",
                "5ea93a67294ea407fff1d09f752e9692",
                "942cd6a4bcdd0dd3c604fbe906cb4421",
                "ae636b3ba5c66a11e91e8cb52e771fcb",
                "53f37980c15c3d472c316c40844f3f0d",
            ],
            test: &["803d5f7f4d78ea53de84dbe85f74fb6d"],
        },
        Checksums {
            train: &[
                "c99cafc152244af753f735de768cd75f",
                "d4bba439e000b95fd0a9bffe97cbabec",
                "54ebc095f3ab1f0389bbae665268c751",
                "634d18415352ddfa80567beed471001a",
                "482c414d41f54cd18b22e5b47cb7c3cb",
            ],
            test: &["40351d587109b95175f43aff81a1287e"],
        },
    ],
    debian_package: None,
};

/// Checksums as for [`CIFAR10`].
const CIFAR100: Official = Official {
    kind: DataKind::Cifar100,
    title: "CIFAR-100",
    page: "https://www.cs.toronto.edu/~kriz/cifar.html",
    classes: &CIFAR100_CLASSES,
    mean: &CIFAR_MEAN,
    std: &CIFAR_STD,
    addresses: &["https://www.cs.toronto.edu/~kriz/"],
    downloads: &[Download { file: "cifar-100-binary.tar.gz", md5: "03b5dce01913d631647c71ecec9e9cb8" }],
    forms: &[
        Checksums { train: &["6172c7755cfe09b2fe270c85cebc1b15"], test: &["4499cfba6c016c1be1438163640a0898"] },
        Checksums { train: &["16019d7e3df5f24257cddd939b257f8d"], test: &["f0ef6b0ae62326f3e7ffdfab6717acfc"] },
    ],
    debian_package: None,
};

/// Archive checksum: as Zenodo lists it. Nothing is published of its single files. Classes and normalisation are those of
/// CIFAR-10.
const CIFAR10_C: Official = Official {
    kind: DataKind::Cifar10C,
    title: "CIFAR-10-C",
    page: "https://zenodo.org/records/2535967",
    classes: CIFAR10.classes,
    mean: &CIFAR_MEAN,
    std: &CIFAR_STD,
    addresses: &["https://zenodo.org/records/2535967/files/"],
    downloads: &[Download { file: cifar10c::ARCHIVE, md5: "56bf5dcef84df0e2308c6dcbcbbd8499" }],
    forms: &[],
    debian_package: None,
};

/// Archive checksums: the authors' README. File checksums: those of the Debian package's files, uncompressed.
/// Normalisation: `docs/method.md`, section 2.
const FASHION_MNIST: Official = Official {
    kind: DataKind::FashionMnist,
    title: "Fashion-MNIST",
    page: "https://github.com/zalandoresearch/fashion-mnist",
    classes: &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    mean: &[72.94],
    std: &[90.02],
    addresses: &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
    downloads: &[
        Download { file: "train-images-idx3-ubyte.gz", md5: "8d4fb7e6c68d591d4c3dfef9ec88bf0d" },
        Download { file: "train-labels-idx1-ubyte.gz", md5: "25c81989df183df01b3e8a0aad5dffbe" },
        Download { file: "t10k-images-idx3-ubyte.gz", md5: "bef4ecab320f06d8554ea6380940ec79" },
        Download { file: "t10k-labels-idx1-ubyte.gz", md5: "bb300cfdad3c16e7a12a480ee83cd310" },
    ],
    forms: &[Checksums {
        train: &["f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"],
        test: &["8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"],
    }],
    debian_package: Some("dataset-fashion-mnist"),
};

/// The authors' own address answers no longer, so copies stand in; the checksums, widely published, decide.
/// Normalisation: the usual .1307 and .3081 of 255.
const MNIST: Official = Official {
    kind: DataKind::Mnist,
    title: "MNIST",
    page: "http://yann.lecun.com/exdb/mnist/",
    classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    mean: &[0.1307 * 255.0],
    std: &[0.3081 * 255.0],
    addresses: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    downloads: &[
        Download { file: "train-images-idx3-ubyte.gz", md5: "f68b3c2dcbeaaa9fbdd348bbdeb94873" },
        Download { file: "train-labels-idx1-ubyte.gz", md5: "d53e105ee54ea40749a09fcbcd1e9432" },
        Download { file: "t10k-images-idx3-ubyte.gz", md5: "9fb629c4189551a2d022fa330f9573f3" },
        Download { file: "t10k-labels-idx1-ubyte.gz", md5: "ec29112dd5afa0611ce80d1b7f02629c" },
    ],
    forms: &[Checksums {
        train: &["6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"],
        test: &["2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"],
    }],
    debian_package: None,
};

/// MD5s of the files in `data/fashion-mnist-small`, images first.
pub(super) const fn fashion_mnist_small(split: Split) -> [&'static str; 2] {
    match split {
        Split::Train => ["32119f0b0500dcf7602681f033e64233", "b560ebc41477e8c613b5ac302015c400"],
        Split::Test => ["8a1b719f9f0735f54c6f9ef07f01fe5c", "e27076c4666f2f7b7b7ba19675567282"],
    }
}

#[rustfmt::skip]
const CIFAR100_CLASSES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];
