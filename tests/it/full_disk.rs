//! Disks that fill up at each write: what was acknowledged is there, what was not is said, and nothing is half written.

use carnet_testkit::is_root;

use crate::support::{Walk, carnet_path, everyone, which};

/// Runs a script in a mount namespace of its own, in which `$0` names carnet; returns its lines.
fn in_own_mounts(walk: &Walk, script: &str) -> Vec<String> {
    let carnet = carnet_path().to_str().unwrap();
    let args = ["--mount", "sh", "-ec", script, carnet];
    let ran = walk.runner(&which("unshare")).args(args).run().expect_code(0);
    ran.stdout.lines().map(str::to_owned).collect()
}

/// Moves the git directory to a small file system and leaves ever more room: from none at all to enough.
const RUNS: &str = "
mkdir ../small; mount -t tmpfs -o size=4m,mode=755 none ../small; cp -a .git/. ../small/; mount --bind ../small .git
n_recorded=0; n_said=0
for kib in 0 4 8 12 16 20 24 28 32 40 48 64 96 128 192 256; do
  dd if=/dev/zero of=.git/filler bs=4k >/dev/null 2>&1 || true
  truncate -s -${kib}K .git/filler
  code=0; $0 run --json --output out -- make out >../out 2>../err || code=$?
  case $code in
    0) if grep -q 'could not be recorded' ../err; then n_said=$((n_said+1)); else n_recorded=$((n_recorded+1)); grep -o '\"run\": *\"[0-9a-f]*\"' ../out | head -1; fi ;;
    74) grep -qE 'No space left|no storage space' ../err || { cat ../err; exit 9; }; n_said=$((n_said+1)) ;;
    *) cat ../err; exit 8 ;;
  esac
  rm .git/filler
  git fsck --full --strict --no-dangling >../err 2>&1 || { cat ../err; exit 7; }
  $0 verify >../err 2>&1 || { cat ../err; exit 6; }
done
echo recorded $n_recorded said $n_said
$0 runs --json -n 1000 >../listed; cat ../listed
umount .git; umount ../small
";

#[test]
fn runs_on_a_disk_that_fills_up_at_each_write_are_recorded_or_said() {
    if !is_root() {
        eprintln!("not checked here: mounting a small file system needs root");
        return;
    }
    let walk = Walk::initialised("printf 'out:\\n\\tseq 1 20000 >out\\n' >Makefile", everyone()[0]);
    let lines = in_own_mounts(&walk, RUNS);
    let summary = lines.iter().find(|line| line.starts_with("recorded ")).unwrap();
    let numbers: Vec<usize> = summary.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] >= 1 && numbers[1] >= 3, "{summary}: both must have been met");
    let listed = lines.join("\n");
    let acknowledged = lines.iter().filter(|line| line.starts_with("\"run\""));
    for run in acknowledged {
        assert!(
            listed.matches(run.as_str()).count() > 1,
            "{run} was acknowledged and is not listed"
        );
    }
}

const BACKUPS: &str = "
mkdir ../small; mount -t tmpfs -o size=8m,mode=755 none ../small
$0 backup create --to ../small >/dev/null
n_made=1; n_said=0
for kib in 0 4 8 16 64 256 1024 4096; do
  git commit -q --allow-empty -m $kib
  dd if=/dev/zero of=../small/filler bs=4k >/dev/null 2>&1 || true
  truncate -s -${kib}K ../small/filler
  code=2; until [ $code != 2 ]; do code=0; $0 backup create --to ../small >/dev/null 2>../err || code=$?; grep -q 'exists already' ../err && code=2; done
  case $code in 0) n_made=$((n_made+1)) ;; 74) n_said=$((n_said+1)) ;; *) cat ../err; exit 8 ;; esac
  rm ../small/filler
  $0 backup verify --in ../small >../err 2>&1 || { cat ../err; exit 7; }
done
echo made $n_made said $n_said listed $($0 backup list --in ../small --json | grep -c '\"id\"')
umount ../small
";

#[test]
fn backups_on_a_disk_that_fills_up_appear_whole_or_not_at_all() {
    if !is_root() {
        eprintln!("not checked here: mounting a small file system needs root");
        return;
    }
    let walk = Walk::initialised("echo hello >README", everyone()[0]);
    let lines = in_own_mounts(&walk, BACKUPS);
    let numbers: Vec<usize> =
        lines.last().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    let [made, said, listed] = numbers.as_slice() else { panic!("{lines:?}") };
    assert!(*said >= 1 && *made >= 2, "{lines:?}: both must have been met");
    assert_eq!(made, listed);
}
