package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// verdicts runs the kit on a worker and returns the checks that failed.
func verdicts(t *testing.T, env []string, only string, worker ...string) (failed []string, n int) {
	t.Helper()
	args := []string{"conformance", "-o", "json"}
	if only != "" {
		args = append(args, "--only", only)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orchis"), append(append(args, "--"), worker...)...)
	cmd.Env = append(append(os.Environ(), "REDIS_URL="), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var all []struct {
		Check, Error string
		OK           bool
	}
	if bad := json.Unmarshal(out, &all); bad != nil {
		t.Fatalf("orchis %v: %v, %v\n%s%s", args, err, bad, out, errs.String())
	}
	for _, r := range all {
		if !r.OK {
			failed = append(failed, r.Check)
			t.Logf("%s: %s", r.Check, r.Error)
		}
	}
	return failed, len(all)
}

// TestWorkersConform: ours in Go, with programs as handlers, and those in Python and Node.
func TestWorkersConform(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "python3")
	project := t.TempDir()
	for name, text := range map[string]string{
		"conformance.echo.sh":   "#!/bin/sh\ncat\n",
		"conformance.echo.yaml": "handler: conformance.echo\nversion: 1.10\n",
		"conformance.sleep.py":  "#!/usr/bin/env python3\nimport json, sys, time\nms = json.load(sys.stdin)['ms']\ntime.sleep(ms / 1000)\nprint(json.dumps({'slept': ms}))\n",
		"conformance.large.py":  "#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps({'text': 'x' * json.load(sys.stdin)['size']}))\n",
		"conformance.fail.py":   "#!/usr/bin/env python3\nimport json, sys\ni = json.load(sys.stdin)\nprint('::error code=%s permanent %s' % (i['code'], i['message']), file=sys.stderr)\nsys.exit(1)\n",
	} {
		path := filepath.Join(project, "jobs", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	python, err := filepath.Abs("../workers/python/conformance_worker.py")
	if err != nil {
		t.Fatal(err)
	}
	node, err := filepath.Abs("../workers/node/conformance-worker.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{"Go": {filepath.Join(bin, "worker")}, "Python": {"python3", python}, "Node": {"node", node}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "Node" {
				needs(t, "node")
			}
			failed, n := verdicts(t, []string{"ORCHIS_PROJECT=" + project}, "", command...)
			if len(failed) > 0 || n < 16 {
				t.Errorf("of %d checks these failed: %v", n, failed)
			}
		})
	}
}

// TestTheKitNoticesMistakes: workers that each make one mistake fail the check
// that is there for it.
func TestTheKitNoticesMistakes(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "python3")
	folder, err := filepath.Abs("../workers/python")
	if err != nil {
		t.Fatal(err)
	}
	for check, mistake := range map[string]string{
		"register":        "w.Worker.register = lambda self: None",
		"handler-version": "inner = w.Worker.succeeded\nw.Worker.succeeded = lambda self, job, result: {k: v for k, v in inner(self, job, result).items() if k != 'handlerVersion'}",
		"echo":            "c.HANDLERS['conformance.echo'] = lambda job, **i: {**i, 'nothing': 0}",
		"fail":            "w.failed = lambda code, message, *more: {'type': 'failed', 'error': {'code': 'error', 'message': 'no'}}",
		"unknown-handler": "c.HANDLERS['conformance.unknown'] = c.HANDLERS['conformance.echo']",
		"version":         "w.Worker.bury = lambda self, job, reason: {'type': 'succeeded', 'result': 1}",
		"timeout":         "inner = w.Worker.perform\ndef perform(self, job):\n    job.ticket.pop('timeout', None)\n    return inner(self, job)\nw.Worker.perform = perform",
		"heartbeat":       "w.Worker.beat = lambda self: None",
		"cancel":          "w.Worker.interrupted = lambda self, job: {'type': 'succeeded', 'result': 1}",
		"fence":           "inner = w.Worker.end\nseen = {}\ndef end(self, job, report):\n    job.ticket['fence'] = seen.setdefault(job.ticket['run'], job.ticket['fence'])\n    return inner(self, job, report)\nw.Worker.end = end",
		"duplicate":       "inner = w.Worker.end\nseen = set()\ndef end(self, job, report):\n    if job.ticket['fence'] not in seen:\n        seen.add(job.ticket['fence'])\n        return inner(self, job, report)\nw.Worker.end = end",
		"lanes":           "w.LANES = (':low', '', ':high')",
		"large":           "w.INLINE = 1 << 30\nw.Worker.succeeded = lambda self, job, result: {'type': 'succeeded', 'result': {}}",
		"pause":           "w.Worker.look_for_pauses = lambda self: None",
		"drain":           "import os\nw.Worker.finish = lambda self: os._exit(3)",
		"restart":         "inner = w.Worker.end\nw.Worker.end = lambda self, job, report: report == {'type': 'lost'} or inner(self, job, report)",
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			script := filepath.Join(t.TempDir(), "worker.py")
			text := "import sys\nsys.path.insert(0, '" + folder + "')\nimport orchis_worker as w\nc = w\nimport conformance_worker\n" + mistake + "\nw.run()\n"
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			failed, _ := verdicts(t, nil, check, "python3", script)
			if !slices.Contains(failed, check) {
				t.Errorf("the mistake was not noticed: failed are %v", failed)
			}
		})
	}
}

// TestACommandThatIsNoWorkerIsTold at once, with what it says.
func TestACommandThatIsNoWorkerIsTold(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server")
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orchis"), "conformance", "--", "sh", "-c", "echo no module named redis >&2; exit 3")
	cmd.Env = append(os.Environ(), "REDIS_URL=")
	out, err := cmd.CombinedOutput()
	if want := "the command ended before it did anything: exit status 3; its last line is: no module named redis"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s, want %q", err, out, want)
	}
}
