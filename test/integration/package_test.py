"""What `cmake --install` and `cpack` make of the build at hand: installed under prefixes, and as a Debian package that comes, is
upgraded and goes, in a root of its own."""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

DUALBUSD = pathlib.Path(os.environ["DUALBUSD"])
BUILD = DUALBUSD.parents[2]
# A sanitized build makes no manual pages, and nobody installs it.
SANITIZED = not (BUILD / "manuals/dualbusd.8").exists()
PAGES = ("man8/dualbusd.8", "man5/dualbus.yaml.5")


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=120, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}")
    return done.stdout.decode() + done.stderr.decode()


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dualbus-package-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def check_tree(self, root, bin_folder, settings, *, gzipped):
        """Everything is there, and the unit names the places."""
        prefix = bin_folder.parent
        program = root / bin_folder.relative_to("/") / "dualbusd"
        self.assertIn("dualbusd ", run(program, "--version"))
        self.assertNotIn(".symtab", run("readelf", "--section-headers", "--wide", program))
        unit = (root / prefix.relative_to("/") / "lib/systemd/system/dualbusd.service").read_text()
        self.assertIn(f"\nExecStart={bin_folder}/dualbusd --config {settings}/dualbus.yaml\n", unit)
        self.assertRegex(unit, f"(?m)^ExecPaths={bin_folder}/dualbusd ")
        self.assertNotIn("/usr/local/bin" if str(prefix) != "/usr/local" else "/usr/bin/dualbusd", unit)
        share = root / prefix.relative_to("/") / "share"
        for page in PAGES:
            self.assertTrue((share / "man" / (page + (".gz" if gzipped else ""))).stat().st_size > 1000)
        for file in ("bash-completion/completions/dualbusd", "dualbus/dualbus.schema.json", "doc/dualbus/configuration.md",
                     "doc/dualbus/examples/sentinel.yaml"):
            self.assertTrue((share / file).is_file(), file)
        configuration = root / settings.relative_to("/") / "dualbus.yaml"
        self.assertIn(": ok", run(program, "--check-config", configuration))
        return unit


@unittest.skipIf(SANITIZED, "a sanitized build is not installed")
class InstallTest(Scratch):
    def install(self, prefix, **environment):
        return run("cmake", "--install", BUILD, "--prefix", prefix, "--strip", env={**os.environ, **environment})

    def test_any_prefix_holds_everything_and_a_configuration_that_is_there_is_left_alone(self):
        prefix = self.folder / "somewhere else"
        self.install(prefix)
        self.check_tree(pathlib.Path("/"), prefix / "bin", prefix / "etc/dualbus", gzipped=False)
        self.assertEqual({path.name for path in prefix.iterdir()}, {"bin", "etc", "lib", "share"})
        configuration = prefix / "etc/dualbus/dualbus.yaml"
        configuration.write_text("mine")
        self.assertIn(f"Left alone: {configuration}", self.install(prefix))
        self.assertEqual(configuration.read_text(), "mine")

    def test_under_usr_the_configuration_is_in_etc(self):
        self.install("/usr", DESTDIR=str(self.folder))
        self.check_tree(self.folder, pathlib.Path("/usr/bin"), pathlib.Path("/etc/dualbus"), gzipped=False)
        self.assertFalse((self.folder / "usr/etc").exists())

    def test_under_usr_local_systemd_finds_the_unit(self):
        self.install("/usr/local", DESTDIR=str(self.folder))
        unit = self.check_tree(self.folder, pathlib.Path("/usr/local/bin"), pathlib.Path("/usr/local/etc/dualbus"), gzipped=False)
        verified = self.folder / "dualbusd.service"
        verified.write_text(unit.replace("/usr/local/bin/dualbusd", "/bin/true"))
        complaints = subprocess.run(["systemd-analyze", "verify", "--man=no", verified], capture_output=True, timeout=60, check=False).stderr.decode()
        self.assertNotIn("dualbusd.service", complaints)


class Root:
    """A root in which dpkg installs. It believes that the packages of this machine are there, so dependencies are checked; the
    scripts of the package run outside, with DPKG_ROOT."""

    def __init__(self, path):
        self.path = path
        state = path / "var/lib/dpkg"
        for folder in ("info", "updates", "triggers"):
            (state / folder).mkdir(parents=True)
        (path / "etc").mkdir()
        (state / "info/format").write_text("1\n")
        form = "Package: ${Package}\\nStatus: ${Status}\\nMaintainer: x\\nVersion: ${Version}\\nArchitecture: ${Architecture}\\n" \
               "Multi-Arch: ${Multi-Arch}\\nProvides: ${Provides}\\nDescription: x\\n\\n"
        packages = re.sub(r"(?m)^[\w-]+: \n", "", run("dpkg-query", "--show", f"--showformat={form}"))
        (state / "status").write_text(packages)
        for package in packages.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in package.splitlines())
            if fields:
                suffix = f":{fields['Architecture']}" if fields.get("Multi-Arch") == "same" else ""
                (state / f"info/{fields['Package']}{suffix}.list").touch()

    def dpkg(self, *arguments):
        return run("dpkg", f"--root={self.path}", "--force-script-chrootless", "--force-confold", "--force-unsafe-io", f"--log={self.path}/dpkg.log", *arguments)

    def status(self):
        done = subprocess.run(["dpkg-query", f"--admindir={self.path}/var/lib/dpkg", "--show", "--showformat=${db:Status-Abbrev}", "dualbus"],
                              capture_output=True, timeout=60, check=False)
        return done.stdout.decode().strip()

    def files(self):
        return {str(path.relative_to(self.path)) for path in self.path.rglob("*")
                if not path.is_dir() and not path.is_relative_to(self.path / "var/lib/dpkg") and path.name != "dpkg.log"}


@unittest.skipIf(SANITIZED, "a sanitized build is not installed")
class DebianPackageTest(Scratch):
    @classmethod
    def setUpClass(cls):
        cls.built = pathlib.Path(tempfile.mkdtemp(prefix="dualbus-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.built)
        run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", cls.built)
        cls.package, = cls.built.glob("*.deb")

    def field(self, name):
        return run("dpkg-deb", "--field", self.package, name).strip()

    def test_its_fields_say_what_it_needs(self):
        self.assertEqual(self.field("Package"), "dualbus")
        self.assertEqual(self.field("Version"), run(DUALBUSD, "--version").split()[1])
        self.assertEqual(self.field("Architecture"), run("dpkg", "--print-architecture").strip())
        needed = self.field("Depends")
        for library in ("libc6", "libhiredis", "libyaml-cpp", "libsimdjson", "libprometheus-cpp-core", "libspdlog", "libssl"):
            self.assertIn(f", {library}", needed)
        self.assertIn("systemd | systemd-standalone-sysusers", needed)
        self.assertEqual(run("dpkg-deb", "--info", self.package, "conffiles").split(), ["/etc/dualbus/dualbus.yaml"])

    def test_its_scripts_are_sound(self):
        scripts = [pathlib.Path(__file__).parents[2] / "deploy/package" / name for name in ("postinst", "prerm", "postrm")]
        self.assertEqual(run("shellcheck", *scripts), "")

    def test_only_root_may_change_what_it_brings(self):
        for line in run("dpkg-deb", "--contents", self.package).splitlines():
            self.assertRegex(line, r"^(d|-)rw[x-]r-[x-]r-[x-] root/root ")

    def test_debian_has_no_complaints(self):
        if shutil.which("lintian") is None:
            self.skipTest("lintian is not here")
        self.assertEqual(run("lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags",
                             "bogus-mail-host,bogus-mail-host-in-debian-changelog", self.package), "")

    @unittest.skipIf(os.getuid() != 0, "only root installs packages")
    def test_it_comes_and_goes(self):
        root = Root(self.folder)
        before = root.files()
        root.dpkg("--install", self.package)
        self.assertEqual(root.status(), "ii")
        unit = self.check_tree(self.folder, pathlib.Path("/usr/bin"), pathlib.Path("/etc/dualbus"), gzipped=True)
        for line in ("Type=notify", "User=dualbus"):
            self.assertRegex(unit, f"(?m)^{line}$")
        user = re.search(r"(?m)^dualbus:.*", (self.folder / "etc/passwd").read_text())[0].split(":")
        self.assertLess(0, int(user[2]))
        self.assertLess(int(user[2]), 1000, "a user of the system")
        self.assertEqual(user[5:], ["/nonexistent", "/usr/sbin/nologin"])
        # For the user of the service, too.
        self.assertTrue((self.folder / "etc/dualbus/dualbus.yaml").stat().st_mode & stat.S_IROTH)
        self.assertFalse(any("etc/systemd" in file for file in root.files()), "the service was enabled")

        # As `systemctl enable` does.
        link = self.folder / "etc/systemd/system/multi-user.target.wants/dualbusd.service"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("/lib/systemd/system/dualbusd.service")
        configuration = self.folder / "etc/dualbus/dualbus.yaml"
        mine = configuration.read_text() + "\nworkers: 2\n"
        configuration.write_text(mine)
        # An upgrade, here to itself, keeps what the administrator has written and enabled.
        root.dpkg("--install", self.package)
        self.assertEqual(configuration.read_text(), mine)
        self.assertTrue(link.is_symlink())

        (self.folder / "var/log/dualbus").mkdir(parents=True)
        (self.folder / "var/log/dualbus/dualbusd.log").touch()
        root.dpkg("--remove", "dualbus")
        self.assertEqual(root.status(), "rc")
        self.assertEqual(configuration.read_text(), mine)
        self.assertFalse((self.folder / "usr/bin/dualbusd").exists())
        self.assertTrue((self.folder / "var/log/dualbus/dualbusd.log").exists())

        root.dpkg("--purge", "dualbus")
        self.assertIn(root.status(), ("", "un"))
        left = root.files() - before
        self.assertLessEqual({name.rstrip("-") for name in left}, {"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "etc/.pwd.lock"})
        self.assertFalse((self.folder / "etc/dualbus").exists())


if __name__ == "__main__":
    unittest.main()
