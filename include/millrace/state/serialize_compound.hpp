// SPDX-License-Identifier: Apache-2.0
/// \file
/// Serializers of tuples, containers, variants, described structs and types that save themselves.
/// Part of serialize.hpp; include that.
#pragma once

#include <millrace/state/serialize.hpp>

namespace millrace {

/// A type that saves and restores itself.
template <class T>
concept self_serializing =
    requires(const T& saved, T& restored, snapshot_writer& w, snapshot_reader& r) {
      saved.save(w);
      restored.restore(r);
    };

namespace detail {

template <class T>
concept described =
    std::is_class_v<T> && !self_serializing<T> && boost::describe::has_describe_members<T>::value;

/// vector, deque, list and their like.
template <class T>
concept sequence_container =
    !self_serializing<T> && !described<T> && requires(T& c, typename T::value_type v) {
      c.push_back(std::move(v));
      c.clear();
      c.size();
      c.begin();
    };

/// Sets and maps, ordered or not.
template <class T>
concept keyed_container =
    !self_serializing<T> && !described<T> && !sequence_container<T> && requires(T& c) {
      typename T::key_type;
      typename T::value_type;
      c.clear();
      c.size();
      c.begin();
    };

template <class T>
concept map_container = keyed_container<T> && requires { typename T::mapped_type; };

/// Stored as one block of memory.
template <class T>
concept number_block = sequence_container<T> && fixed_width_number<typename T::value_type> &&
                       !std::is_same_v<typename T::value_type, bool> &&
                       std::endian::native == std::endian::little && requires(T& c) {
                         c.data();
                         c.resize(1);
                       };

/// Keeps `reader.enter()` and `leave()` paired.
class depth_guard {
 public:
  explicit depth_guard(snapshot_reader& r) : reader_(r), entered_(r.enter()) {}
  depth_guard(const depth_guard&) = delete;
  depth_guard& operator=(const depth_guard&) = delete;
  ~depth_guard() { reader_.leave(); }
  explicit operator bool() const noexcept { return entered_; }

 private:
  snapshot_reader& reader_;
  bool entered_;
};

}  // namespace detail

template <class A, class B>
struct serializer<std::pair<A, B>> {
  using parts = type_parts<A, B>;
  static void write(snapshot_writer& w, const std::pair<A, B>& value) {
    serializer<A>::write(w, value.first);
    serializer<B>::write(w, value.second);
  }
  static void read(snapshot_reader& r, std::pair<A, B>& value) {
    serializer<A>::read(r, value.first);
    serializer<B>::read(r, value.second);
  }
  static void describe(type_describer& d) {
    d.append("(");
    d.describe_all<A, B>();
    d.append(")");
  }
};

template <class... T>
struct serializer<std::tuple<T...>> {
  using parts = type_parts<T...>;
  static void write(snapshot_writer& w, const std::tuple<T...>& value) {
    std::apply([&](const T&... each) { (serializer<T>::write(w, each), ...); }, value);
    if constexpr (sizeof...(T) == 0) w.number(std::uint8_t{0});
  }
  static void read(snapshot_reader& r, std::tuple<T...>& value) {
    std::apply([&](T&... each) { (serializer<T>::read(r, each), ...); }, value);
    if constexpr (sizeof...(T) == 0) r.number<std::uint8_t>();
  }
  static void describe(type_describer& d) {
    d.append("(");
    d.describe_all<T...>();
    d.append(")");
  }
};

template <class T, std::size_t N>
struct serializer<std::array<T, N>> {
  using parts = type_parts<T>;
  static void write(snapshot_writer& w, const std::array<T, N>& value) {
    for (const T& each : value) serializer<T>::write(w, each);
    if constexpr (N == 0) w.number(std::uint8_t{0});
  }
  static void read(snapshot_reader& r, std::array<T, N>& value) {
    for (T& each : value) serializer<T>::read(r, each);
    if constexpr (N == 0) r.number<std::uint8_t>();
  }
  static void describe(type_describer& d) {
    d.append("array<");
    d.describe<T>();
    d.append("," + std::to_string(N) + ">");
  }
};

template <detail::sequence_container C>
struct serializer<C> {
  using value_type = typename C::value_type;
  using parts = type_parts<value_type>;
  static void write(snapshot_writer& w, const C& value) {
    w.varint(value.size());
    if constexpr (detail::number_block<C>) {
      w.raw(value.data(), value.size() * sizeof(value_type));
    } else {
      for (const value_type& each : value) serializer<value_type>::write(w, each);
    }
  }
  static void read(snapshot_reader& r, C& value) {
    value.clear();
    if constexpr (detail::number_block<C>) {
      const std::size_t n = r.count(sizeof(value_type));
      value.resize(n);
      const std::string_view bytes = r.raw(n * sizeof(value_type));
      if (!bytes.empty()) std::memcpy(value.data(), bytes.data(), bytes.size());
    } else {
      const std::size_t n = r.count();
      for (std::size_t i = 0; i < n && !r.failed(); ++i) {
        value_type each{};
        serializer<value_type>::read(r, each);
        value.push_back(std::move(each));
      }
    }
  }
  static void describe(type_describer& d) {
    d.append("list<");
    d.describe<value_type>();
    d.append(">");
  }
};

template <detail::keyed_container C>
struct serializer<C> {
  using key_type = typename C::key_type;
  static auto parts_list() {
    if constexpr (detail::map_container<C>) {
      return type_parts<key_type, typename C::mapped_type>{};
    } else {
      return type_parts<key_type>{};
    }
  }
  using parts = decltype(parts_list());

  static void write(snapshot_writer& w, const C& value) {
    w.varint(value.size());
    for (const auto& each : value) {
      if constexpr (detail::map_container<C>) {
        serializer<key_type>::write(w, each.first);
        serializer<typename C::mapped_type>::write(w, each.second);
      } else {
        serializer<key_type>::write(w, each);
      }
    }
  }
  static void read(snapshot_reader& r, C& value) {
    value.clear();
    const std::size_t n = r.count();
    for (std::size_t i = 0; i < n && !r.failed(); ++i) {
      key_type key{};
      serializer<key_type>::read(r, key);
      if constexpr (detail::map_container<C>) {
        typename C::mapped_type mapped{};
        serializer<typename C::mapped_type>::read(r, mapped);
        value.emplace(std::move(key), std::move(mapped));
      } else {
        value.insert(std::move(key));
      }
    }
    if (value.size() != n) r.fail("a key that is there twice");
  }
  static void describe(type_describer& d) {
    if constexpr (detail::map_container<C>) {
      d.append("map<");
      d.describe_all<key_type, typename C::mapped_type>();
    } else {
      d.append("set<");
      d.describe<key_type>();
    }
    d.append(">");
  }
};

template <class... T>
struct serializer<std::variant<T...>> {
  using parts = type_parts<T...>;
  static void write(snapshot_writer& w, const std::variant<T...>& value) {
    w.varint(value.index());
    std::visit([&w]<class U>(const U& each) { serializer<U>::write(w, each); }, value);
  }
  static void read(snapshot_reader& r, std::variant<T...>& value) {
    const std::uint64_t index = r.varint();
    if (index >= sizeof...(T)) return r.fail("a variant with an alternative that its type lacks");
    read_alternative(r, value, index, std::index_sequence_for<T...>{});
  }
  static void describe(type_describer& d) {
    d.append("one of<");
    d.describe_all<T...>();
    d.append(">");
  }

 private:
  template <std::size_t... I>
  static void read_alternative(snapshot_reader& r, std::variant<T...>& value, std::uint64_t index,
                               std::index_sequence<I...>) {
    static_cast<void>(
        ((index == I && (serializer<T>::read(r, value.template emplace<I>()), true)) || ...));
  }
};

template <detail::described T>
struct serializer<T> {
  using members = boost::describe::describe_members<T, boost::describe::mod_any_access |
                                                           boost::describe::mod_inherited>;

  template <class D>
  using member_type = std::remove_cvref_t<decltype(std::declval<T&>().*D::pointer)>;

  template <template <class...> class List, class... D>
  static type_parts<member_type<D>...> parts_list(List<D...>);
  using parts = decltype(parts_list(members{}));

  static void write(snapshot_writer& w, const T& value) { write_members(w, value, members{}); }
  static void read(snapshot_reader& r, T& value) {
    if (const detail::depth_guard depth(r); depth) read_members(r, value, members{});
  }
  static void describe(type_describer& d) {
    d.append(short_type_name<T>());
    d.append("{");
    describe_members(d, members{});
    d.append("}");
  }

 private:
  template <template <class...> class List, class... D>
  static void write_members(snapshot_writer& w, const T& value, List<D...>) {
    (serializer<member_type<D>>::write(w, value.*D::pointer), ...);
    if constexpr (sizeof...(D) == 0) w.number(std::uint8_t{0});
  }
  template <template <class...> class List, class... D>
  static void read_members(snapshot_reader& r, T& value, List<D...>) {
    if (MILLRACE_UNLIKELY(r.types() != nullptr)) {
      if (const auto* saved = r.types()->members(short_type_name<T>())) {
        [[maybe_unused]] std::size_t next = 0;
        (read_if_saved(r, *saved, next, D::name, value.*D::pointer), ...);
        if (saved->empty()) r.number<std::uint8_t>();
        return;
      }
    }
    (serializer<member_type<D>>::read(r, value.*D::pointer), ...);
    if constexpr (sizeof...(D) == 0) r.number<std::uint8_t>();
  }
  /// Members that were added since keep their defaults.
  template <class M>
  static void read_if_saved(snapshot_reader& r, const std::vector<std::string>& saved,
                            std::size_t& next, std::string_view name, M& member) {
    if (next == saved.size() || saved[next] != name) return;
    ++next;
    serializer<M>::read(r, member);
  }
  template <template <class...> class List, class... D>
  static void describe_members(type_describer& d, List<D...>) {
    std::size_t i = 0;
    ((d.append(i++ == 0 ? "" : ","), d.append(D::name), d.append(":"),
      d.describe<member_type<D>>()),
     ...);
  }
};

template <self_serializing T>
struct serializer<T> {
  static void write(snapshot_writer& w, const T& value) {
    const std::size_t frame = w.size();
    w.number(std::uint64_t{0});
    value.save(w);
    w.patch(frame, std::uint64_t{w.size() - frame - sizeof(std::uint64_t)});
  }
  static void read(snapshot_reader& r, T& value) {
    const detail::depth_guard depth(r);
    const auto size = r.number<std::uint64_t>();
    if (size > r.remaining()) return r.fail("a frame that is longer than the data");
    const std::size_t end = r.position() + size;
    if (r.failed()) return;
    value.restore(r);
    if (!r.failed() && r.position() != end) {
      r.fail(std::string(short_type_name<T>()) + "::restore read another number of bytes than " +
             "save wrote");
    }
  }
  static void describe(type_describer& d) {
    if constexpr (requires {
                    { T::snapshot_description() } -> std::convertible_to<std::string>;
                  }) {
      d.append(T::snapshot_description());
    } else {
      d.append(short_type_name<T>());
    }
  }
};

}  // namespace millrace
