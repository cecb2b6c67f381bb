// What an operator is to its hosts: the C functions, ONNX Runtime and TensorRT.
//
// Each operator is a struct, its trait, in its folder's kernel.h:
//
//     struct TopPool {
//         static constexpr const char* name = "TopPool";           // of the node, in the domain "detforge"
//         static constexpr int inputs = 1;
//         static constexpr std::array<Field, 0> fields{};          // its attributes
//         template <class Dim> static Shape<Dim> shape(const Shape<Dim>* inputs, const int64_t* attributes);
//         static const char* problem(const Call& call, DType dtype);  // why the inputs do not fit, or nullptr
//         static void cpu(const Call& call, Context& context);     // fp32
//         static size_t workspace(const Call& call, DType dtype);  // bytes on the device
//         static int cuda(const Call& call, DType dtype, void* workspace, void* stream);  // a cudaError_t
//     };
//
// and the folder's list, for example `using corner_pool_ops = Ops<TopPool, ...>`. All tensors have the call's dtype. A
// trait with `static constexpr unsigned float_inputs` takes the inputs of its bits in float, whatever the call's dtype;
// the first input is none of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#define DETFORGE_HD __host__ __device__ inline
#else
#define DETFORGE_HD inline
#endif

namespace detforge {

constexpr const char* kDomain = "detforge";
constexpr const char* kVersion = "1";

enum class DType : int { kFloat = 0, kHalf = 1, kBFloat16 = 2 };

// The dimensions of a tensor: numbers, or a host's expressions.
template <class Dim>
struct Shape {
    std::array<Dim, 4> dims{};
    int rank = 0;

    const Dim& operator[](int axis) const { return dims[static_cast<size_t>(axis)]; }
    Dim& operator[](int axis) { return dims[static_cast<size_t>(axis)]; }
};

// A contiguous tensor, row-major.
struct Tensor {
    void* data = nullptr;
    Shape<int64_t> shape;

    int64_t operator[](int axis) const { return shape[axis]; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data);
    }
    int64_t size() const {
        int64_t count = 1;
        for (int axis = 0; axis < shape.rank; ++axis) count *= shape[axis];
        return count;
    }
};

// An attribute: one integer, or `count` of them. The values of all attributes follow each other in Call::attributes.
struct Field {
    const char* name;
    int count;
};

template <class Op>
constexpr int attribute_count() {
    int count = 0;
    for (const Field& field : Op::fields) count += field.count;
    return count;
}

template <class Op, class = void>
struct FloatInputs : std::integral_constant<unsigned, 0> {};
template <class Op>
struct FloatInputs<Op, std::void_t<decltype(Op::float_inputs)>> : std::integral_constant<unsigned, Op::float_inputs> {};

// The dtype of the i-th input in a call of `dtype`.
template <class Op>
constexpr DType input_dtype(DType dtype, size_t i) {
    return FloatInputs<Op>::value >> i & 1u ? DType::kFloat : dtype;
}

struct Call {
    const Tensor* inputs;
    Tensor output;
    const int64_t* attributes;
};

// What a CPU kernel may ask of its host.
class Context {
  public:
    // 64-byte aligned memory, uninitialised, that lives as long as the call.
    virtual void* allocate(size_t bytes) = 0;
    virtual int threads() const = 0;

    // Runs body(i) for i in 0..count - 1, on several threads, and waits.
    template <class Body>
    void parallel(int64_t count, const Body& body) {
        run([](void* data, size_t i) { (*static_cast<const Body*>(data))(static_cast<int64_t>(i)); },
            static_cast<size_t>(count), const_cast<Body*>(&body));
    }

    template <class T>
    T* allocate_array(int64_t count) {
        return static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T)));
    }

  protected:
    ~Context() = default;
    virtual void run(void (*body)(void*, size_t), size_t count, void* data) = 0;
};

// A list of traits; `each` calls visit(Tag<Op>{}) for every one.
template <class Op>
struct Tag {
    using type = Op;
};

template <class... Op>
struct Ops {
    template <class Visit>
    static void each(const Visit& visit) {
        (visit(Tag<Op>{}), ...);
    }
};

template <class... Lists>
struct Joined;
template <class... Op>
struct Joined<Ops<Op...>> {
    using type = Ops<Op...>;
};
template <class... A, class... B, class... Rest>
struct Joined<Ops<A...>, Ops<B...>, Rest...> : Joined<Ops<A..., B...>, Rest...> {};

}  // namespace detforge
