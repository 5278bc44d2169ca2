package handlers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchis-run/orchis/internal/fetch"
)

func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1") // nobody may ask it
	t.Setenv("http_proxy", "http://192.0.2.1:1")
	for host, code := range map[string]string{
		"127.0.0.1": "privateAddress", "127.1.2.3": "privateAddress", "[::1]": "privateAddress", "[::]": "privateAddress", "0.0.0.0": "privateAddress",
		"[::ffff:127.0.0.1]": "privateAddress", "[::ffff:7f00:1]": "privateAddress", "[::ffff:10.0.0.1]": "privateAddress", "[::127.0.0.1]": "privateAddress",
		"[64:ff9b::7f00:1]": "privateAddress", "[2002:7f00:1::]": "privateAddress", "[fe80::1%25lo]": "privateAddress", "[fd00::1]": "privateAddress", "[fec0::1]": "privateAddress",
		"10.0.0.1": "privateAddress", "172.16.0.1": "privateAddress", "192.168.1.1": "privateAddress", "100.64.0.1": "privateAddress", "169.254.169.254": "privateAddress",
		"224.0.0.1": "privateAddress", "255.255.255.255": "privateAddress", "240.0.0.1": "privateAddress", "0.1.2.3": "privateAddress", "198.18.0.1": "privateAddress",
		"localhost": "privateAddress",
		// No name, and no address in Go's eyes; where the resolver takes it for
		// one, the address is looked at.
		"2130706433": "connection privateAddress", "0x7f000001": "connection privateAddress", "0177.0.0.1": "connection privateAddress", "127.1": "connection privateAddress",
	} {
		for _, handler := range []string{"http", "download"} {
			_, got, _ := runHandler(t, Config{}, handler, `{"url":"http://`+host+`:1/"}`)
			if !strings.Contains(code, got.Code) || got.Code == "" || strings.Contains(got.Message, "192.0.2.1") {
				t.Errorf("%s to %s gives %+v", handler, host, got)
			}
		}
	}
	for _, address := range []string{"file:///etc/hostname", "gopher://x/", "unix:///run/docker.sock", "http+unix://x/", "ftp://x/", "//x/", "http:///x", "javascript:1", "dict://x:1/", "HTTP:x"} {
		if _, got, _ := runHandler(t, Config{}, "http", `{"url":"`+address+`"}`); got.Code != "badInput" || !got.Permanent {
			t.Errorf("http of %s gives %+v", address, got)
		}
	}
	for _, public := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111"} {
		if fetch.Private(netip.MustParseAddr(public)) {
			t.Errorf("%s counts as private", public)
		}
	}
}

func TestARedirectDoesNotLeadAround(t *testing.T) {
	t.Parallel()
	var told http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Clone() }))
	t.Cleanup(other.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/other": other.URL, "/file": "file:///etc/hostname", "/gopher": "gopher://x/", "/again": "/again", "/same": "/end", "/private": "http://169.254.169.254/"}[r.URL.Path]
		if to == "" {
			_, _ = fmt.Fprint(w, r.Header.Get("X-Key"))
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	get := func(path string) (string, string) {
		got, failure, _ := runHandler(t, Config{AllowPrivate: true}, "http", `{"url":"`+srv.URL+path+`","headers":{"X-Key":"k1","Authorization":"k2","Cookie":"k3"}}`)
		return got, failure.Code
	}
	if got, code := get("/other"); code != "" || told == nil || told.Get("X-Key")+told.Get("Authorization")+told.Get("Cookie") != "" {
		t.Errorf("the other host is told %v (%s %s)", told, got, code)
	}
	if got, _ := get("/same"); !strings.Contains(got, "k1") {
		t.Errorf("the same host is told %s", got)
	}
	for path, want := range map[string]string{"/file": "badInput", "/gopher": "badInput", "/again": "connection"} {
		if _, code := get(path); code != want {
			t.Errorf("%s gives %q", path, code)
		}
	}
	// A redirect to a private address, from a host that is allowed by name only.
	request, err := http.NewRequest(http.MethodGet, "http://169.254.169.254/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := (fetch.Config{}).Client().Do(request); err == nil || !strings.Contains(err.Error(), "is private") {
		_ = res.Body.Close()
		t.Errorf("what is dialled is not looked at: %v", err)
	}
}

func TestDownloadTakesFilesOfItsFoldersOnly(t *testing.T) {
	t.Parallel()
	mine, other := t.TempDir(), t.TempDir()
	secret := filepath.Join(other, "secret")
	for path, text := range map[string]string{secret: "s", filepath.Join(mine, "open"): "o"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(mine, "link")); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{
		filepath.Join(mine, "open"): true, "file://" + filepath.Join(mine, "open"): true, secret: false, filepath.Join(mine, "link"): false,
		mine + "/../" + filepath.Base(other) + "/secret": false, "/proc/self/environ": false, "file:///proc/self/environ": false, "/dev/zero": false, mine: false, "gopher://x/y": false,
	} {
		if _, got, _ := runHandler(t, Config{Files: []string{mine}}, "download", `{"url":"`+path+`"}`); (got.Code == "") != ok || !ok && (got.Code != "badInput" || !got.Permanent) {
			t.Errorf("%s gives %+v", path, got)
		}
	}
}
