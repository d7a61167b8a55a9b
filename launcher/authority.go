package launcher

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
	"strings"
	"time"
)

// authority signs the certificates of one cluster with `tls: auto`. Its key is nowhere but in the supervisor's memory: nobody can
// make another member.
type authority struct {
	place place
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
}

// certLife is longer than any cluster lives: its certificates are worth nothing without it, and end with it.
const certLife = 10 * 365 * 24 * time.Hour

// clockSkew is how much the clock may be set back while the cluster runs.
const clockSkew = 24 * time.Hour

// newAuthority makes an authority, and writes its certificate for the nodes to trust.
func newAuthority(p place, cluster string) (*authority, error) {
	if err := os.MkdirAll(p.tlsDir(), 0o700); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	a := &authority{place: p}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	der, err := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "beamctl cluster " + cluster}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return a, a.write(p.tls(tlsAuthority, "pem"), "CERTIFICATE", der)
}

// tlsAuthority is under what the authority's own certificate is.
const tlsAuthority = ".ca"

// issue makes key, certificate and optfile for a node on any of hosts. OTP 25 and earlier look for an address among the DNS names.
func (a *authority) issue(short string, hosts ...string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	cert := &x509.Certificate{
		Subject: pkix.Name{CommonName: short}, DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		}
	}
	der, err := a.sign(cert, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	if err := a.write(a.place.tls(short, "key"), "PRIVATE KEY", keyDER); err != nil {
		return err
	}
	if err := a.write(a.place.tls(short, "pem"), "CERTIFICATE", der); err != nil {
		return err
	}
	if err := os.WriteFile(a.place.tls(short, "conf"), []byte(a.optFile(short)), 0o600); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return nil
}

// optFile is the text of a file for -ssl_dist_optfile: either side has a certificate, and demands one.
func (a *authority) optFile(short string) string {
	common := fmt.Sprintf("{certfile, %s}, {keyfile, %s}, {cacertfile, %s}, {verify, verify_peer}",
		erlangPath(a.place.tls(short, "pem")), erlangPath(a.place.tls(short, "key")), erlangPath(a.place.tls(tlsAuthority, "pem")))
	return fmt.Sprintf("[{server, [%s, {fail_if_no_peer_cert, true}]},\n {client, [%s]}].\n", common, common)
}

// erlangPath writes a path as a binary of its bytes, in ASCII: nodes take it as it is, whatever encoding they believe the file or their file
// system to have.
func erlangPath(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x{%x}`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `<<"` + b.String() + `">>`
}

// sign makes the certificate of key, the authority's own if there is none yet.
func (a *authority) sign(cert *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // RFC 5280: positive, at most 20 bytes
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	cert.SerialNumber = serial
	cert.NotBefore, cert.NotAfter = time.Now().Add(-clockSkew), time.Now().Add(certLife)
	parent := a.cert
	if parent == nil {
		parent = cert
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return der, nil
}

func (a *authority) write(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return nil
}
