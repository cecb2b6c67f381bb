# Which of the parts that need more than a C++ compiler are built: DETFORGE_CUDA and DETFORGE_TENSORRT are AUTO (when what
# they need is found), ON (an error when it is not) or OFF. Sets CMAKE_CUDA_COMPILER and TENSORRT_INCLUDE_DIR for those
# that are.
#
# TENSORRT_ROOT, a CMake or an environment variable, says where TensorRT's headers are. With DETFORGE_FETCH_HEADERS=ON
# headers that are not found are downloaded, each with its hash checked.
include(${CMAKE_CURRENT_LIST_DIR}/architectures.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/fetch_headers.cmake)

foreach(part CUDA TENSORRT)
    set(DETFORGE_${part} AUTO CACHE STRING "AUTO, ON or OFF")
    set_property(CACHE DETFORGE_${part} PROPERTY STRINGS AUTO ON OFF)
endforeach()
option(DETFORGE_FETCH_HEADERS "Download the headers that are not found" OFF)

# report(PART BUILT REASON): one clear line for each part; an error if the part was asked for and cannot be built.
function(report part built reason)
    if(built)
        message(STATUS "detforge: ${part} is built (${reason})")
    elseif(DETFORGE_${part} STREQUAL "ON")
        message(FATAL_ERROR "detforge: ${part} was asked for and cannot be built: ${reason}")
    else()
        message(STATUS "detforge: ${part} is left out: ${reason}")
    endif()
endfunction()

if(DETFORGE_CUDA)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
            known_architectures(${CMAKE_CUDA_COMPILER} CMAKE_CUDA_ARCHITECTURES)
        endif()
        enable_language(CUDA)
        report(CUDA ON "${CMAKE_CUDA_COMPILER}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
    else()
        report(CUDA OFF "no nvcc; set CUDACXX")
    endif()
else()
    report(CUDA OFF "DETFORGE_CUDA is off")
endif()

if(NOT DETFORGE_TENSORRT)
    report(TENSORRT OFF "DETFORGE_TENSORRT is off")
elseif(NOT CMAKE_CUDA_COMPILER)
    report(TENSORRT OFF "it needs CUDA")
else()
    find_path(TENSORRT_INCLUDE_DIR NvInferRuntime.h HINTS ${TENSORRT_ROOT} ENV TENSORRT_ROOT
        PATH_SUFFIXES include DOC "The folder of NvInferRuntime.h")
    if(NOT TENSORRT_INCLUDE_DIR AND DETFORGE_FETCH_HEADERS)
        set(TENSORRT_INCLUDE_DIR ${CMAKE_BINARY_DIR}/tensorrt_headers)
        fetch_headers(${CMAKE_CURRENT_LIST_DIR}/tensorrt_headers.txt ${TENSORRT_INCLUDE_DIR})
    endif()
    if(TENSORRT_INCLUDE_DIR)
        report(TENSORRT ON "headers in ${TENSORRT_INCLUDE_DIR}")
    else()
        report(TENSORRT OFF "no NvInferRuntime.h; set TENSORRT_ROOT, or DETFORGE_FETCH_HEADERS=ON")
    endif()
endif()
