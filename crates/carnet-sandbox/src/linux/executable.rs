//! A program that stays what was hashed: whoever changes its file afterwards changes nothing of the run.
//!
//! A file that root alone can change, and that no one else can put another in the place of, is held by a descriptor.
//! Of any other a copy is made in sealed memory, and the copy is what is hashed and executed. Invariant: no byte is
//! executed that was not hashed, but for a script of root's own, which its interpreter reads by its path.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Component, Path, PathBuf},
};

use carnet_core::{Digest, Digester};
use rustix::{
    fs::{CWD, MemfdFlags, Mode, OFlags, fchmod, memfd_create, openat},
    io::Errno,
};

use super::{handed, wire::Start};

/// Largest program that is copied into memory, in bytes.
const COPY_BYTES_MAX: u64 = 256 << 20;
/// Links on the way to a program at most, as the kernel has it.
const LINKS_MAX: usize = 40;

/// A program, opened, held and hashed.
#[derive(Debug)]
pub struct Executable {
    file: File,
    held: Held,
    is_elf: bool,
    sha256: Digest,
}

/// How the bytes of a program are kept from changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// By root's being the only one who could.
    Descriptor,
    /// In memory that no one can write any more.
    Memory,
}

impl Executable {
    /// Opens the program at `path`, which may be a link, and hashes what would be executed.
    ///
    /// # Errors
    ///
    /// What the system said; a program that is no file, or that is not root's alone and larger than 256 MiB.
    pub fn open(path: &Path) -> io::Result<Executable> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(CWD, path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let is_roots = is_roots_alone(path)
            .is_some_and(|(device, inode)| (device, inode) == (metadata.dev(), metadata.ino()));
        let (file, held) =
            if is_roots { (file, Held::Descriptor) } else { (sealed_copy(file)?, Held::Memory) };
        let (sha256, is_elf) = hash(&file)?;
        Ok(Executable { file, held, is_elf, sha256 })
    }

    /// Returns the SHA-256 of what is executed.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Says the same of a program that lies in a toolchain, and is executed by its path there.
    pub(super) fn held_in_toolchain(&self) -> &'static str {
        match self.held {
            Held::Descriptor => "by its path in a toolchain; root alone can change it",
            Held::Memory => "a copy in sealed memory, hashed there, in the place of its file",
        }
    }

    /// Says in words for a receipt how the bytes are kept from changing.
    pub fn held(&self) -> &'static str {
        match (self.held, self.start()) {
            (_, Start::Path) => "a script that root alone can change, by its path",
            (Held::Descriptor, _) => {
                "by the descriptor it was hashed through; root alone can change it"
            }
            (Held::Memory, _) => "a copy in sealed memory, hashed there",
        }
    }

    /// Returns the bytes that were hashed, of a program that others than root could change.
    pub(super) fn bytes_of_others(&self) -> io::Result<Option<Vec<u8>>> {
        if self.held == Held::Descriptor {
            return Ok(None);
        }
        let mut bytes = vec![];
        // Opened anew, so that the offset of the one that is executed stays.
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    pub(super) fn start(&self) -> Start {
        match (self.is_elf, self.held) {
            (true, _) => Start::Descriptor,
            (false, Held::Memory) => Start::OpenDescriptor,
            (false, Held::Descriptor) => Start::Path,
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Returns device and inode of the file that `path` leads to where root alone can change it, each directory on the
/// way, and each link.
fn is_roots_alone(path: &Path) -> Option<(u64, u64)> {
    let mut pending = components(path);
    let mut at = PathBuf::from("/");
    let mut last = fs::symlink_metadata(&at).ok().filter(is_unwritable)?;
    let mut n_links = 0;
    while let Some(component) = pending.pop() {
        match component.components().next()? {
            Component::RootDir => at = PathBuf::from("/"),
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => {
                let next = at.join(name);
                let metadata = fs::symlink_metadata(&next).ok()?;
                if metadata.is_symlink() && metadata.uid() == 0 {
                    n_links += 1;
                    if n_links > LINKS_MAX {
                        return None;
                    }
                    pending.extend(components(&fs::read_link(&next).ok()?));
                } else {
                    last = Some(metadata).filter(is_unwritable)?;
                    at = next;
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some((last.dev(), last.ino()))
}

/// Returns the components, the last one first.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components().rev().map(|component| PathBuf::from(component.as_os_str())).collect()
}

fn is_unwritable(metadata: &fs::Metadata) -> bool {
    metadata.uid() == 0 && metadata.mode() & 0o022 == 0
}

fn sealed_copy(from: File) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag, and need none.
    let made = match memfd_create("tool", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("tool", flags),
        made => made,
    };
    let mut copy = File::from(made?);
    if io::copy(&mut from.take(COPY_BYTES_MAX + 1), &mut copy)? > COPY_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 256 MiB"));
    }
    fchmod(&copy, Mode::from_raw_mode(0o555))?;
    Ok(handed::sealed(copy)?.into())
}

/// Returns the digest, and whether the kernel executes the file without another's help.
fn hash(mut file: &File) -> io::Result<(Digest, bool)> {
    let mut digester = Digester::new();
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    io::copy(&mut file, &mut digester)?;
    Ok((digester.finish(), magic == b"\x7fELF"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    };

    use super::*;

    #[test]
    fn what_root_alone_can_change_is_held_by_its_descriptor() {
        let shell = Executable::open(Path::new("/bin/sh")).unwrap();
        assert_eq!(shell.sha256(), Digest::of(&fs::read("/bin/sh").unwrap()));
        assert_eq!((shell.held, shell.start()), (Held::Descriptor, Start::Descriptor));
    }

    #[test]
    fn what_others_can_change_is_copied_and_the_copy_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        fs::write(&path, "#!/bin/sh\necho old\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let tool = Executable::open(&path).unwrap();
        fs::write(&path, "#!/bin/sh\necho new\n").unwrap();
        assert_eq!((tool.held, tool.start()), (Held::Memory, Start::OpenDescriptor));
        assert_eq!(tool.sha256(), Digest::of(b"#!/bin/sh\necho old\n"));
        let kept = format!("/proc/self/fd/{}", tool.file.as_raw_fd());
        assert_eq!(fs::read_to_string(&kept).unwrap(), "#!/bin/sh\necho old\n");
        let writing = fs::OpenOptions::new().write(true).open(&kept);
        assert!(writing.is_err() || writing.unwrap().write_all(b"x").is_err());
    }

    #[test]
    fn a_link_that_others_can_turn_is_not_roots_alone() {
        assert!(is_roots_alone(Path::new("/bin/sh")).is_some());
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("sh");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        // The directory of all temporary files is everyone's.
        assert_eq!(is_roots_alone(&link), None);
        std::os::unix::fs::symlink("around", dir.path().join("around")).unwrap();
        assert_eq!(is_roots_alone(&dir.path().join("around")), None);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Executable::open(dir.path()).is_err());
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        assert_eq!(Executable::open(&fifo).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
