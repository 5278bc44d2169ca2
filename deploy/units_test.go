package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

var units = []string{"orchis-orchestrator.service", "orchis-worker@.service"}

// unit returns the settings of a unit, each with its values.
func unit(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			out[name] = append(out[name], v)
		}
	}
	return out
}

func TestUnitsAreValid(t *testing.T) {
	t.Parallel()
	for _, file := range units {
		u := unit(t, file)
		for pair := range strings.FieldsSeq(strings.Join(u["Environment"], " ")) {
			name, _, _ := strings.Cut(pair, "=")
			if !slices.Contains(settings(), strings.TrimSuffix(name, "_FILE")) {
				t.Errorf("%s sets %s, which is no setting", file, name)
			}
		}
		program := filepath.Base(u["ExecStart"][0])
		if _, err := os.Stat(filepath.Join("..", "cmd", program)); err != nil {
			t.Errorf("%s starts what there is not: %v", file, err)
		}
	}
	if o, w := unit(t, units[0]), unit(t, units[1]); o["User"][0] != w["User"][0] || o["StateDirectory"][0] != w["StateDirectory"][0] {
		t.Error("the units do not share user and state")
	}
}

// TestUnitsPassSystemdsOwnChecks: they are read without a warning, and are as
// confined as a service may be that uses the network and runs programs.
func TestUnitsPassSystemdsOwnChecks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true and there is no systemd-analyze on PATH")
		}
		t.Skip(err)
	}
	for _, file := range units {
		out, _ := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "./"+file).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			installed := strings.Contains(line, "is not executable: No such file or directory") // not on this machine
			if strings.Contains(line, "orchis-") && !installed {
				t.Errorf("%s", line)
			}
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", "./"+file).CombinedOutput()
		if err != nil {
			t.Errorf("%s is exposed: %v\n%s", file, err, out)
		}
	}
}

// TestUnitsStartWhatWorks runs what the units start, with the environment and
// credentials that they give, once on defaults alone and once with secrets.
func TestUnitsStartWhatWorks(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	for name, files := range map[string]map[string]string{ //nolint:paralleltest // both have the same Redis
		"with the address of Redis alone": {"redis-url": srv.URL},
		"with all secrets":                {"redis-url": srv.URL, "signing-key": strings.Repeat("s", 32), "api-token": strings.Repeat("t", 32)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o, stopO := service(t, units[0], dir, files, "ORCHIS_LISTEN=127.0.0.1:0")
			w, stopW := service(t, units[1], dir, files, "ORCHIS_LISTEN=off")
			c, err := client.Open(t.Context(), client.Config{URL: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			redistest.Until(t, "the worker of the unit is registered", func() bool {
				all, err := c.Workers(t.Context())
				return err == nil && slices.ContainsFunc(all, func(w client.Worker) bool { return w.Name == "machine-7" })
			})
			entry, err := c.Submit(t.Context(), client.Request{Recipe: "hello"})
			if err != nil {
				t.Fatal(err)
			}
			id, err := c.Accepted(t.Context(), entry)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := c.Wait(t.Context(), id); err != nil || r.State != run.Succeeded {
				t.Errorf("the run is %+v, %v", r, err)
			}
			stopW()
			stopO()
			for _, cmd := range []*exec.Cmd{o, w} {
				if code := cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("%v ends with %d", cmd.Args, code)
				}
			}
		})
	}
}

// service starts what a unit starts.
func service(t *testing.T, file, dir string, files map[string]string, more ...string) (cmd *exec.Cmd, stop func()) {
	t.Helper()
	u := unit(t, file)
	credentials := filepath.Join(dir, file)
	if err := os.Mkdir(credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, d := range u["SetCredential"] {
		id, v, _ := strings.Cut(d, ":")
		defaults[id] = strings.ReplaceAll(v, `\n`, "\n")
	}
	for _, l := range u["LoadCredential"] {
		id, _, _ := strings.Cut(l, ":")
		text, given := files[id]
		if def, ok := defaults[id]; !given && ok {
			text = def
		} else if !ok {
			t.Errorf("%s does not start without the file of %s", file, id)
		}
		if err := os.WriteFile(filepath.Join(credentials, id), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	project, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("%d", credentials, "%H", "machine", "%i", "7", "/srv/orchis", project, "/var/lib/orchis", filepath.Join(dir, "state"))
	cmd = exec.Command(filepath.Join(programs(t), filepath.Base(u["ExecStart"][0])))
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, more...)
	for pair := range strings.FieldsSeq(strings.Join(u["Environment"], " ")) {
		cmd.Env = append(cmd.Env, here.Replace(pair))
	}
	if left := regexp.MustCompile(`%[a-zA-Z]`).FindString(strings.Join(cmd.Env, " ")); left != "" {
		t.Errorf("%s uses %s, which this test does not know", file, left)
	}
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
}
