package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// canary is the value of the n-th planted secret: 1 to 18 are those of jobs, 19
// is the signing key, 20 the password of Redis and 21 the token of the API.
func canary(n int) string { return fmt.Sprintf("canary/%02d+%x", n, n*7919) }

const leaky = `
inputs:
  server: { type: url }
defaults: { retries: 0 }
jobs:
  printed:
    job: exec
    secrets: [S01, S02, S03]
    env: { A: "${secrets.S01}", B: "${secrets.S02}", C: "${secrets.S03}" }
    inputs: { command: 'echo "out $A"; echo "err $B" >&2; printf %s "$C" | base64; printf %s "u:$C" | base64; head -c 20000 /dev/zero | tr "\0" x; echo "$A"; env' }
  words:
    job: exec
    secrets: [S04]
    inputs: { command: [printf, "%s\n", "x${secrets.S04}y"], outputs: { l: lines } }
  header:
    job: http
    secrets: [S05, S06, S07]
    inputs: { url: "${inputs.server}/${secrets.S06}?q=${secrets.S06}", method: POST, headers: { X-Key: "${secrets.S05}", Authorization: "Bearer ${secrets.S07}" }, body: { k: "${secrets.S07}" } }
  refused:
    job: http
    continueOnError: true
    secrets: [S08, S09]
    inputs: { url: "http://u:${secrets.S08}@127.0.0.1:1/${secrets.S09}" }
  said: { job: debug, secrets: [S10], inputs: { message: "with ${secrets.S10}", deep: [{ x: "${secrets.S10}" }] } }
  failed: { job: fail, continueOnError: true, secrets: [S11], inputs: { message: "no ${secrets.S11}", code: "${secrets.S11}" } }
  file: { job: leaks, secrets: [S12, S13], env: { KEY: "${secrets.S13}" }, inputs: { key: "${secrets.S12}" } }
  badFile: { job: leaksAndFails, continueOnError: true, secrets: [S14], env: { KEY: "${secrets.S14}" } }
  lastLine: { job: exec, continueOnError: true, secrets: [S15], env: { K: "${secrets.S15}" }, inputs: { command: 'echo "last $K" >&2; exit 3' } }
  noProgram: { job: exec, continueOnError: true, secrets: [S16], inputs: { command: ["${secrets.S16}"] } }
  badInput: { job: sleep, continueOnError: true, secrets: [S17], inputs: { duration: "${secrets.S17}" } }
  evaluated: { job: eval, continueOnError: true, secrets: [S18], inputs: { code: "nope(${secrets.S18})" } }
  tail: { job: debug, inputs: { error: "${jobs.failed.error.message} ${jobs.lastLine.error.message}", body: "${header.body}" } }
`

// TestNoPlantedSecretIsFoundAnywhere plants 21 secrets and looks for them in all
// that Orchis writes and shows.
func TestNoPlantedSecretIsFoundAnywhere(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli", "base64")
	// The server tells back what it was told, in the body.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.URL, r.Header.Get("X-Key"), r.Header.Get("Authorization"), body)
	}))
	t.Cleanup(server.Close)
	h := newHouseOn(t, redistest.Durable(t), 0, 0)
	h.project = t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(h.project, "jobs"), "leaks.sh", "#!/bin/sh\nread line\necho \"::progress 50 $KEY\" >&2\necho \"$line $KEY\" >&2\nprintf '%s' \"$line\"\n")
	write(filepath.Join(h.project, "jobs"), "leaksAndFails.sh", "#!/bin/sh\necho \"::error code=busy it is $KEY\" >&2\nexit 4\n")
	write(filepath.Join(h.project, "flows"), "leaky.yaml", leaky)
	dir := t.TempDir()
	settings := []string{
		"ORCHIS_SECRETS_DIR=" + dir, "ORCHIS_ALLOW_PRIVATE=true", "LOG_LEVEL=debug",
		"ORCHIS_SIGNING_KEY=" + strings.Repeat(canary(19), 4), "REDIS_URL=unix://app:" + url.QueryEscape(canary(20)) + "@" + h.redis.Socket(),
	}
	for n := 1; n <= 18; n++ {
		if n%2 == 0 {
			write(dir, fmt.Sprintf("S%02d", n), canary(n)+"\n")
			continue
		}
		settings = append(settings, fmt.Sprintf("ORCHIS_SECRET_S%02d=%s", n, canary(n)))
	}
	h.redisCLI("ACL", "SETUSER", "app", "on", ">"+canary(20), "~*", "&*", "+@all")
	address := freeAddress(t)
	h.start("o1", "orchestrator", append(settings, "ORCHIS_LISTEN="+address, "ORCHIS_API_TOKEN="+strings.Repeat(canary(21), 2))...)
	h.start("w1", "worker", settings...)
	h.until("the worker is registered", func() bool {
		all, err := h.client.Workers(t.Context())
		return err == nil && len(all) == 1
	})
	id := h.submit(client.Request{Recipe: "leaky", Inputs: map[string]any{"server": server.URL}})
	r := h.succeeded(id)
	if !strings.Contains(string(r.Outputs), "/***?q=*** *** Bearer *** {") {
		t.Errorf("the server was told %s", r.Outputs)
	}

	found := map[string]string{"outputs": string(r.Outputs)}
	for _, args := range [][]string{{"describe", id}, {"logs", id}, {"watch", id}, {"list"}, {"why", id}, {"workers"}, {"queues"}, {"doctor"}, {"config"}} {
		found["orchis "+args[0]] = h.orchisWith(settings, args...)
	}
	if !strings.Contains(found["orchis logs"], "out ***") || !strings.Contains(found["orchis logs"], "err ***") {
		t.Errorf("the log is %s", found["orchis logs"])
	}
	found["orchis run"] = h.orchisWith(append(settings, "REDIS_URL="), "run", filepath.Join(h.project, "flows", "leaky.yaml"), "-i", "server="+server.URL)
	res, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	health, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || !strings.Contains(string(health), `"ready":true`) {
		t.Errorf("health is %s, %v", health, err)
	}
	found["health"] = string(health)
	maps.Copy(found, h.surface(address, strings.Repeat(canary(21), 2), id))
	if n := len(found); n < 60 {
		t.Errorf("only %d places were looked at", n)
	}
	for name, p := range h.procs {
		found["log of "+name] = p.log.String()
	}
	// The append-only file holds every value that was ever written.
	err = filepath.WalkDir(filepath.Dir(h.redis.Socket()), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		found["Redis "+filepath.Base(path)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for where, text := range found {
		all += len(text)
		for n := 1; n <= 21; n++ {
			v := canary(n)
			for _, form := range []string{v, url.QueryEscape(v), base64.StdEncoding.EncodeToString([]byte(v)), fmt.Sprintf("/%02d+%x", n, n*7919)} {
				if n == 20 && strings.HasPrefix(where, "Redis ") && strings.Contains(text, "SETUSER") {
					continue // the test itself has put it there
				}
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("secret %d stands in %s: %q", n, where, text[max(0, at-80):min(len(text), at+40)])
				}
			}
		}
	}
	if aof := found["Redis appendonly.aof.1.incr.aof"]; !strings.Contains(aof, "Bearer ***") || all < 20_000 {
		t.Errorf("what was looked through is too little: %d bytes", all)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// orchisWith runs the command with settings and returns all it prints.
func (h *house) orchisWith(settings []string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "orchis"), args...)
	cmd.Env, cmd.Dir = append(h.env(""), settings...), h.project
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Logf("orchis %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestAForgedTicketDoesNotRun has an intruder who may write all of Redis.
func TestAForgedTicketDoesNotRun(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 0, 0)
	old, key := strings.Repeat("old ", 10), strings.Repeat("new ", 10)
	marks := t.TempDir()
	mark := func(name string) string { return filepath.Join(marks, name) }
	h.start("o1", "orchestrator", "ORCHIS_SIGNING_KEY="+key+","+old, "ORCHIS_UNKNOWN_HANDLERS=wait")
	definition := "defaults: {retries: 0}\njobs:\n  a: {job: exec, inputs: {command: [sh, -c, 'echo x >> $0', " + mark("true") + "]}}\n"
	id := h.submit(client.Request{Definition: definition})
	const queue = "orchis:{0}:tickets:default"
	var entries [][2]any
	h.until("the ticket is there", func() bool {
		text := h.redisCLI("--json", "XRANGE", queue, "-", "+")
		entries = nil
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return len(entries) == 1
	})
	var signed []string
	for _, f := range entries[0][1].([]any) {
		signed = append(signed, f.(string))
	}
	add := func(change func(name, value string) string) {
		args := []string{"XADD", queue, "*"}
		for i := 0; i < len(signed); i += 2 {
			args = append(args, signed[i], change(signed[i], signed[i+1]))
		}
		h.redisCLI(args...)
	}
	add(func(name, value string) string { // altered
		if name == "ticket" {
			return strings.ReplaceAll(value, "true", "altered")
		}
		return value
	})
	h.redisCLI("XADD", queue, "*", "v", "2", "ticket", `{"r":"r","t":"a","f":"p","h":"exec","i":{"command":["touch","`+mark("forged")+`"]}}`)
	add(func(_, value string) string { return value }) // replayed
	h.start("w1", "worker", "ORCHIS_SIGNING_KEY="+key)
	h.succeeded(id)
	h.until("the queue is empty", func() bool { return h.redisCLI("XLEN", queue) == "0" })
	if dead := h.redisCLI("XRANGE", "orchis:{0}:dead", "-", "+"); strings.Count(dead, "not to be trusted") != 2 || !strings.Contains(dead, "it is not signed") || !strings.Contains(dead, "it was changed") {
		t.Errorf("dead letters are %s", dead)
	}
	if log := h.procs["w1"].log.String(); strings.Count(log, "ticket refused") != 2 {
		t.Errorf("the worker says %s", log)
	}
	for _, name := range []string{"altered", "forged"} {
		if _, err := os.Stat(mark(name)); err == nil {
			t.Errorf("the %s ticket was worked on", name)
		}
	}
	// What was replayed may run twice, but counts once.
	h.once(id)

	// A worker that has only the old key refuses; one with both does the work.
	h.kill("w1")
	h.start("w2", "worker", "ORCHIS_SIGNING_KEY="+old)
	second := h.submit(client.Request{Definition: strings.ReplaceAll(definition, "true", "second")})
	h.until("the worker with the old key refuses", func() bool { return strings.Contains(h.procs["w2"].log.String(), "another key") })
	h.kill("w2")
	h.start("w3", "worker", "ORCHIS_SIGNING_KEY="+old+","+key)
	h.succeeded(second)
}

// TestAWorkerDoesOnlyTheHandlersItNames has two workers with different lists.
func TestAWorkerDoesOnlyTheHandlersItNames(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	h := newHouseOn(t, redistest.Real(t), 1, 0)
	h.start("w1", "worker", "ORCHIS_HANDLERS=debug")
	h.start("w2", "worker", "ORCHIS_HANDLERS=exec,sleep")
	h.until("all workers are registered", func() bool {
		all, err := h.client.Workers(t.Context())
		return err == nil && len(all) == 2
	})
	id := h.submit(client.Request{Definition: "jobs:\n  a: {job: debug, inputs: {x: 1}, iterate: {from: 1, to: 5}}\n  b: {job: exec, inputs: {command: [printf, x]}, iterate: {from: 1, to: 5}}\n"})
	if r := h.succeeded(id); r.State != run.Succeeded {
		t.Errorf("the run is %s", r.State)
	}
	for task, want := range map[string]string{"a[2]": "w1", "b[2]": "w2"} {
		if got := h.redisCLI("HGET", "orchis:{0}:run:"+id+":tasks", task); !strings.Contains(got, want) {
			t.Errorf("task %s is %s", task, got)
		}
	}
	for setting, want := range map[string]string{
		"ORCHIS_HANDLERS=debgu":                `ORCHIS_HANDLERS: there is no handler "debgu": did you mean "debug"?`,
		"ORCHIS_HANDLERS_DISABLED=exce":        `ORCHIS_HANDLERS_DISABLED: there is no handler "exce": did you mean "exec"?`,
		"ORCHIS_HANDLERS=somethingelseatall":   "this worker has ",
		"ORCHIS_SIGNING_KEY=short":             "ORCHIS_SIGNING_KEY: key 1 has 5 bytes, want at least 32",
		"ORCHIS_SIGNING_KEY_FILE=/nonexistent": "ORCHIS_SIGNING_KEY_FILE",
	} {
		cmd := exec.Command(filepath.Join(bin, "worker"))
		cmd.Env, cmd.Dir = append(h.env("w3"), setting), t.TempDir()
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(strings.ReplaceAll(string(out), `\"`, `"`), want) {
			t.Errorf("with %s it ends with %v: %s", setting, err, out)
		}
	}
}
