package deploy

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stage is a part of a Dockerfile that begins with FROM.
type stage struct {
	base, name, user, workdir string
	copies                    []copied
	env                       map[string]string
	entrypoint, health        []string
	runs                      []string
}

// copied is a COPY: what, from which stage, or "" for the project, to where.
type copied struct {
	from, owner string
	what        []string
	to          string
}

// stages reads the Dockerfile, of which it knows the instructions that stand
// there, and no others.
func stages(t *testing.T, file string) map[string]stage {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, now := map[string]stage{}, stage{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		if word == "FROM" {
			fields := slices.DeleteFunc(strings.Fields(rest), func(f string) bool { return strings.HasPrefix(f, "--") })
			if len(fields) != 3 || fields[1] != "AS" {
				t.Fatalf("%s: a stage without a name: %s", file, line)
			}
			now = stage{base: fields[0], name: fields[2], env: map[string]string{}}
		} else {
			now.read(t, word, rest)
		}
		out[now.name] = now
	}
	return out
}

func (s *stage) read(t *testing.T, word, rest string) {
	t.Helper()
	switch word {
	case "ARG", "EXPOSE":
	case "RUN":
		s.runs = append(s.runs, rest)
	case "USER":
		s.user = rest
	case "WORKDIR":
		s.workdir = rest
	case "ENV":
		for pair := range strings.FieldsSeq(rest) {
			name, value, _ := strings.Cut(pair, "=")
			s.env[name] = value
		}
	case "ENTRYPOINT":
		s.entrypoint = list(t, rest)
	case "HEALTHCHECK":
		_, command, _ := strings.Cut(rest, "CMD ")
		s.health = list(t, command)
	case "COPY":
		c := copied{}
		for f := range strings.FieldsSeq(rest) {
			switch {
			case strings.HasPrefix(f, "--from="):
				c.from = strings.TrimPrefix(f, "--from=")
			case strings.HasPrefix(f, "--chown="):
				c.owner = strings.TrimPrefix(f, "--chown=")
			default:
				c.what = append(c.what, f)
			}
		}
		c.what, c.to = c.what[:len(c.what)-1], c.what[len(c.what)-1]
		s.copies = append(s.copies, c)
	default:
		t.Fatalf("the instruction %s is not known here", word)
	}
}

func list(t *testing.T, text string) (out []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%s: want a list of words: %v", text, err)
	}
	return out
}

// image is where the stage "build" is built, once for all tests.
var image struct {
	once sync.Once
	dir  string
}

// programs builds the programs from what the Dockerfile copies, with its command.
func programs(t *testing.T) string {
	t.Helper()
	image.once.Do(func() {
		dir, err := os.MkdirTemp("", "orchis-image-") //nolint:usetesting // several tests share it
		if err != nil {
			t.Fatal(err)
		}
		image.dir = dir
		if err := os.Chmod(dir, 0o755); err != nil { // for the users of containers
			t.Fatal(err)
		}
		buildAsWritten(t, dir)
	})
	bin := filepath.Join(image.dir, "out")
	if _, err := os.Stat(filepath.Join(bin, "orchis")); err != nil {
		t.Fatal(err)
	}
	return bin
}

// buildAsWritten does what the stage "build" does: it copies what the Dockerfile
// copies, without what .dockerignore keeps out, and builds there.
func buildAsWritten(t *testing.T, dir string) {
	t.Helper()
	build := stages(t, "Dockerfile")["build"]
	for _, c := range build.copies {
		for _, what := range c.what {
			to := filepath.Join(dir, c.to)
			if strings.HasSuffix(c.to, "/") {
				to = filepath.Join(to, what)
			}
			copyIn(t, filepath.Join("..", what), to)
		}
	}
	last := build.runs[len(build.runs)-1]
	_, command, found := strings.Cut(last, "CGO_ENABLED=0")
	command, _, _ = strings.Cut(command, "&&")
	if !found {
		t.Fatalf("the last RUN of the stage build is %s", last)
	}
	command = strings.Replace("CGO_ENABLED=0"+command, "-o /out/", "-o "+dir+"/out/", 1)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// copyIn copies a file or folder of the project as COPY does, without what
// .dockerignore keeps out.
func copyIn(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if !info.IsDir() {
			target = to
		}
		switch {
		case ignored(t, path) && d.IsDir():
			return fs.SkipDir
		case ignored(t, path):
			return nil
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		of, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, of.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ignored reports whether .dockerignore keeps a path of the project out; its
// patterns here are names in the project's folder, or of any folder with **/.
func ignored(t *testing.T, path string) bool {
	t.Helper()
	text, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	if path, err = filepath.Rel(root, path); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(strings.Fields(string(text)), func(pattern string) bool {
		name := path
		if anywhere, ok := strings.CutPrefix(pattern, "**/"); ok {
			pattern, name = anywhere, filepath.Base(path)
		}
		hit, err := filepath.Match(pattern, name)
		return err == nil && hit
	})
}

func TestImagesHoldWhatTheyStart(t *testing.T) {
	t.Parallel()
	all, bin := stages(t, "Dockerfile"), programs(t)
	for _, name := range []string{"orchestrator", "worker"} {
		s := all[name]
		has := map[string]bool{}
		for _, c := range s.copies {
			for _, what := range c.what {
				switch {
				case c.from == "build" && what == "/data":
					if c.owner != s.user {
						t.Errorf("%s: /data belongs to %s, the program runs as %s", name, c.owner, s.user)
					}
				case c.from == "build":
					if _, err := os.Stat(filepath.Join(bin, filepath.Base(what))); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					has[filepath.Base(what)] = c.to == "/usr/local/bin/"
				default:
					if _, err := os.Stat(filepath.Join("..", what)); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
		}
		if len(s.entrypoint) != 1 || s.entrypoint[0] != name || !has[name] || !has["orchis"] {
			t.Errorf("%s starts %v and has %v", name, s.entrypoint, has)
		}
		if !slices.Equal(s.health, []string{name, "healthcheck"}) {
			t.Errorf("%s has the health check %v", name, s.health)
		}
		if user, _, _ := strings.Cut(s.user, ":"); user == "" || user == "0" || strings.Trim(user, "0123456789") != "" {
			t.Errorf("%s runs as %q; Kubernetes wants a number that is not 0", name, s.user)
		}
	}
	if o, w := all["orchestrator"].user, all["worker"].user; o != w {
		t.Errorf("the orchestrator, which removes files of the workers, is %s, the worker %s", o, w)
	}
}
