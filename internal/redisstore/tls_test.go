package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/redistest"
)

// authority is a CA of the test's own.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue makes a certificate and writes it, with its key, as name.crt and .key.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{a.file(name + ".crt"): {Type: "CERTIFICATE", Bytes: der}, a.file(name + ".key"): {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// serveTLS starts a redis-server that speaks TLS and asks for certificates.
func serveTLS(t *testing.T, a *authority) (address string) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server on PATH")
	}
	a.issue("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_ = l.Close()
	_, port, _ := strings.Cut(address, ":")
	cmd := exec.Command(program, "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--save", "", "--dir", a.dir,
		"--tls-cert-file", a.file("server.crt"), "--tls-key-file", a.file("server.key"), "--tls-ca-cert-file", a.file("ca.crt"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	redistest.Until(t, "redis-server listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return address
}

func TestRedisIsTrustedByItsCertificateOnly(t *testing.T) {
	t.Parallel()
	mine, other := newAuthority(t), newAuthority(t)
	address := serveTLS(t, mine)
	mine.issue("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	other.issue("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	tests := []struct{ name, url, ca, cert, key, advice string }{
		{"right", "rediss://" + address, mine.file("ca.crt"), mine.file("client.crt"), mine.file("client.key"), ""},
		{"other CA", "rediss://" + address, other.file("ca.crt"), mine.file("client.crt"), mine.file("client.key"), "ORCHIS_REDIS_CA must name the CA"},
		{"system's CAs", "rediss://" + address, "", mine.file("client.crt"), mine.file("client.key"), "ORCHIS_REDIS_CA must name the CA"},
		{"other name", "rediss://localhost:" + address[len("127.0.0.1:"):], mine.file("ca.crt"), mine.file("client.crt"), mine.file("client.key"), "ORCHIS_REDIS_CA must name the CA"},
		{"no client certificate", "rediss://" + address, mine.file("ca.crt"), "", "", "ORCHIS_REDIS_CERT"},
		{"client of another CA", "rediss://" + address, mine.file("ca.crt"), other.file("client.crt"), other.file("client.key"), "ORCHIS_REDIS_CERT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := redisstore.LoadTLS(test.ca, test.cert, test.key)
			if err != nil {
				t.Fatal(err)
			}
			s, err := redisstore.Open(t.Context(), redisstore.Config{URL: test.url, TLS: c})
			if test.advice == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Now(t.Context()); err != nil {
					t.Error(err)
				}
				_ = s.Close()
				return
			}
			advice, fatal := redisstore.IsFatal(err)
			if !fatal || !strings.Contains(advice, test.advice) || redisstore.IsRetryable(err) {
				t.Errorf("%v: fatal %v, retryable %v, advice %s", err, fatal, redisstore.IsRetryable(err), advice)
			}
		})
	}
}

func TestBadCertificateFilesAreNamed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	none := a.file("none")
	empty := a.file("empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range [][3]string{{none, "", ""}, {empty, "", ""}, {"", none, none}, {"", a.file("ca.crt"), empty}, {"", a.file("ca.crt"), ""}} {
		if c, err := redisstore.LoadTLS(files[0], files[1], files[2]); err == nil || !strings.Contains(fmt.Sprint(err), "of Redis: ") && !strings.Contains(fmt.Sprint(err), "client certificate") {
			t.Errorf("%v gives %v, %v", files, c, err)
		}
	}
	if c, err := redisstore.LoadTLS("", "", ""); c != nil || err != nil {
		t.Errorf("no files give %v, %v", c, err)
	}
}
