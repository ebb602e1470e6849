//! The calls that are refused whatever their arguments: numbers are libc's, for the processor that is built for.

use libc::c_long;

// Calls so new that `libc` does not name them everywhere; they have one number on every architecture.
const QUOTACTL_FD: c_long = 443;
const MEMFD_SECRET: c_long = 447;
const OPEN_TREE_ATTR: c_long = 467;
const LSM_SET_SELF_ATTR: c_long = 460;

/// The same for aarch64, where not every `libc` names it.
#[cfg(target_arch = "aarch64")]
const KEXEC_FILE_LOAD: c_long = 294;

/// On every processor.
const EVERYWHERE: [c_long; 52] = [
    // Ways into the kernel with a long record of flaws, and past the filter itself.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    MEMFD_SECRET,
    // Keys, which no namespace holds apart.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and roots, old and new.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // Namespaces of others; making new ones is judged by flags.
    libc::SYS_setns,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    LSM_SET_SELF_ATTR,
    // Pages of other processes and nodes.
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
];

#[cfg(target_arch = "x86_64")]
const HERE: [c_long; 10] = [
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS__sysctl,
    libc::SYS_sysfs,
    libc::SYS_tuxcall,
    libc::SYS_security,
];
#[cfg(target_arch = "aarch64")]
const HERE: [c_long; 1] = [KEXEC_FILE_LOAD];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const HERE: [c_long; 0] = [];

/// How many calls are refused whatever their arguments.
pub(in crate::linux) const N_REFUSED: usize = EVERYWHERE.len() + HERE.len();

/// Returns their numbers.
pub(super) fn refused() -> impl Iterator<Item = c_long> {
    EVERYWHERE.into_iter().chain(HERE)
}
