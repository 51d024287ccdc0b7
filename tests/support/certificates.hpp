// SPDX-License-Identifier: Apache-2.0
/// \file
/// Certificates for tests of TLS, made afresh in a temporary directory: no key is ever part of the
/// project, and none expires in it. Not thread safe.
#pragma once

#include "support/temporary_directory.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>

namespace millrace::testing {

/// What a certificate is to say.
struct certificate_request {
  std::string common_name;
  std::string alternative_names = {};  ///< as in OpenSSL's subjectAltName; none if empty
  long valid_from_seconds = -3600;     ///< from now
  long valid_to_seconds = 86400;       ///< from now
  std::string key_password = {};       ///< encrypts the key file if set
};

/// A certificate authority that issues certificates into one directory. The standard set is made at
/// construction: a server's for localhost, 127.0.0.1 and ::1, and a client's.
class certificate_authority {
 public:
  struct files {
    std::string certificate;
    std::string key;
  };

  explicit certificate_authority(const std::string& name = "test authority")
      : key_(generate_key()), certificate_(nullptr, &X509_free) {
    certificate_request request{.common_name = name};
    certificate_ = make(request, key_.get(), nullptr);
    ca_file_ = write_certificate("ca", certificate_.get());
    server_ = issue("server", {.common_name = "localhost",
                               .alternative_names = "DNS:localhost,IP:127.0.0.1,IP:::1"});
    client_ = issue("client", {.common_name = "test client"});
  }

  const std::string& ca_file() const noexcept { return ca_file_; }
  const files& server() const noexcept { return server_; }
  const files& client() const noexcept { return client_; }
  const std::string& directory() const noexcept { return directory_.path(); }

  /// Writes `<name>.pem` and `<name>.key`.
  files issue(const std::string& name, const certificate_request& request) {
    const auto key = generate_key();
    const auto certificate = make(request, key.get(), certificate_.get());
    return {write_certificate(name, certificate.get()),
            write_key(name, key.get(), request.key_password)};
  }

 private:
  using key_pointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using certificate_pointer = std::unique_ptr<X509, decltype(&X509_free)>;

  static void check(bool good, const char* what) {
    if (!good) throw std::runtime_error(std::string("test certificates: ") + what);
  }

  static key_pointer generate_key() {
    key_pointer key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    check(key != nullptr, "cannot make a key");
    return key;
  }

  static void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    check(extension != nullptr, "cannot make an extension");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  /// Signed by the authority, or by itself where `issuer` is null.
  certificate_pointer make(const certificate_request& request, EVP_PKEY* key, X509* issuer) {
    certificate_pointer made(X509_new(), &X509_free);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), request.valid_from_seconds);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), request.valid_to_seconds);
    X509_set_pubkey(made.get(), key);
    X509_NAME* name = X509_get_subject_name(made.get());
    const auto* common = reinterpret_cast<const unsigned char*>(request.common_name.c_str());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, common, -1, -1, 0);
    X509* signer = issuer == nullptr ? made.get() : issuer;
    X509_set_issuer_name(made.get(), X509_get_subject_name(signer));
    extend(made.get(), signer, NID_basic_constraints,
           issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(made.get(), signer, NID_subject_key_identifier, "hash");
    if (!request.alternative_names.empty()) {
      extend(made.get(), signer, NID_subject_alt_name, request.alternative_names);
    }
    check(X509_sign(made.get(), key_.get(), EVP_sha256()) != 0, "cannot sign");
    return made;
  }

  std::string write_certificate(const std::string& name, X509* certificate) const {
    const auto path = directory_.file(name + ".pem");
    std::FILE* file = std::fopen(path.c_str(), "w");
    check(file != nullptr, "cannot write");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    return path;
  }

  std::string write_key(const std::string& name, EVP_PKEY* key, const std::string& password) const {
    const auto path = directory_.file(name + ".key");
    std::FILE* file = std::fopen(path.c_str(), "w");
    check(file != nullptr, "cannot write");
    const auto* secret = reinterpret_cast<const unsigned char*>(password.data());
    PEM_write_PrivateKey(file, key, password.empty() ? nullptr : EVP_aes_128_cbc(),
                         password.empty() ? nullptr : secret, static_cast<int>(password.size()),
                         nullptr, nullptr);
    std::fclose(file);
    return path;
  }

  temporary_directory directory_;
  long serial_ = static_cast<long>(std::random_device{}() >> 2U);
  key_pointer key_;
  certificate_pointer certificate_;
  std::string ca_file_;
  files server_;
  files client_;
};

}  // namespace millrace::testing
