package nodetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for the nodes of one test, and keeps them in a folder that ends with it.
type Authority struct {
	Pool *x509.CertPool // trusts it

	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir(), Pool: x509.NewCertPool()}
	a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, "ca")
	a.Pool.AddCert(a.cert)
	return a
}

// Issue makes a certificate for nodes on the hosts, good for both roles. OTP's client up to 25 looks for an address
// among the DNS names.
func (a *Authority) Issue(name string, hosts ...string) tls.Certificate {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		}
	}
	return a.issue(c, name)
}

// Args are for an erl that speaks TLS with the certificate issued under name, and verifies the other side's.
func (a *Authority) Args(name string) []string {
	a.t.Helper()
	opts := func(extra string) string {
		return fmt.Sprintf(`[{certfile,"%s/%s.pem"},{keyfile,"%s/%s.key"},{cacertfile,"%s/ca.pem"},{verify,verify_peer}%s]`,
			a.dir, name, a.dir, name, a.dir, extra)
	}
	text := fmt.Sprintf("[{server,%s},{client,%s}].\n", opts(",{fail_if_no_peer_cert,true}"), opts(""))
	return []string{"-proto_dist", "inet_tls", "-ssl_dist_optfile", a.write(name+".conf", []byte(text))}
}

// issue signs a certificate and writes NAME.pem and NAME.key; the first one is the authority's own.
func (a *Authority) issue(c *x509.Certificate, name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.must(err)
	if a.cert == nil {
		a.key = key
		a.cert, err = x509.ParseCertificate(der)
		a.must(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	a.write(name+".pem", certPEM)
	a.write(name+".key", keyPEM)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	a.must(err)
	return pair
}

func (a *Authority) write(name string, text []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	a.must(os.WriteFile(path, text, 0o600))
	return path
}

func (a *Authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}
